"""The backend in a folder: all is kept in SQLite, and faiss beside it finds the vectors."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from dovetail_vectorstore.backend import (
    MadeWith,
    VectorBackend,
    Where,
    check_made_with,
    unchanged,
    wrong_model,
)
from dovetail_vectorstore.embedded import queries
from dovetail_vectorstore.embedded.database import Database
from dovetail_vectorstore.embedded.folder import Folder
from dovetail_vectorstore.embedded.rows import remove
from dovetail_vectorstore.embedded.saved import end_of
from dovetail_vectorstore.embedded.shelf import Shelf
from dovetail_vectorstore.embedded.writing import Changes, put
from dovetail_vectorstore.errors import WrongModel
from dovetail_vectorstore.items import Collection, Stats
from dovetail_vectorstore.scope import Scope

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from dovetail_vectorstore.embedded.index import Index
    from dovetail_vectorstore.items import Hit, Row, Source, Stored, Vector

MEANWHILE = 0.25
"""Which part of an index has to have changed for it to be saved while the store is in use."""
AT_THE_END = 2048
"""How many changes of an index are worth saving it when the store is closed."""


class EmbeddedBackend(VectorBackend):
    """A folder of this machine, for one process at a time."""

    def __init__(self, path: str, *, synchronous: str = "full") -> None:
        self._folder = Folder(path)
        self._database = Database(self._folder.database, synchronous=synchronous)
        self._shelves: dict[str, Shelf] = {}
        self._store = ""
        self._maker: ThreadPoolExecutor | None = None
        self._merges: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Hold the folder and open its database; indexes are loaded when they are first needed."""
        self._folder.hold()
        self._loop = asyncio.get_running_loop()
        self._maker = ThreadPoolExecutor(1, "dovetail-vectors-index")
        await self._database.open(self._read_collections)

    async def close(self) -> None:
        """Finish what is under way, save the indexes, and let go of the folder."""
        merges, self._merges = self._merges, set()
        maker, self._maker = self._maker, None
        await asyncio.gather(*merges, return_exceptions=True)
        if maker is not None:
            for shelf in list(self._shelves.values()):
                await self._database.between_writes(partial(self._save, shelf, AT_THE_END))
            await asyncio.to_thread(maker.shutdown)
        await self._database.close()
        self._shelves = {}
        self._folder.release()

    async def collections(self) -> list[Collection]:
        """As the interface says."""

        def read(connection: sqlite3.Connection) -> list[Collection]:
            return [_described(connection, shelf) for shelf in list(self._shelves.values())]

        return sorted(await self._database.read(read), key=lambda found: found.name)

    async def made_with(self, collection: str) -> MadeWith | None:
        """As the interface says."""
        shelf = self._shelves.get(collection)
        return None if shelf is None else shelf.made

    async def put(self, collection: str, rows: Sequence[Row], *, model: str) -> None:
        """As the interface says."""

        def work(connection: sqlite3.Connection) -> Changes:
            shelf = self._shelves.get(collection) or self._new(connection, collection)
            made = check_made_with(collection, shelf.made, model, rows)
            return put(connection, shelf, made, rows)

        await self._database.write(work, self._changed)

    async def get(self, collection: str, ids: Sequence[str], scope: Scope) -> list[Stored]:
        """As the interface says."""
        shelf = self._shelves.get(collection)
        if shelf is None or not ids:
            return []
        return await self._database.read(
            lambda connection: queries.by_ids(connection, shelf, ids, Where(scope))
        )

    async def page(
        self,
        collection: str,
        where: Where,
        *,
        after: tuple[str, str] | None = None,
        limit: int = 100,
        pending: bool = False,
    ) -> list[Stored]:
        """As the interface says."""
        shelf = self._shelves.get(collection)
        if shelf is None:
            return []
        return await self._database.read(
            lambda connection: queries.page(connection, shelf, where, after, limit, pending)
        )

    async def sources(self, collection: str, where: Where) -> list[Source]:
        """As the interface says."""
        shelf = self._shelves.get(collection)
        if shelf is None:
            return []
        return await self._database.read(
            lambda connection: queries.sources(connection, shelf, where)
        )

    async def delete(
        self, collection: str, where: Where, *, ids: Sequence[str] | None = None
    ) -> int:
        """As the interface says."""

        def work(connection: sqlite3.Connection) -> Changes | None:
            shelf = self._shelves.get(collection)
            if shelf is None:
                return None
            chosen = queries.Chosen(connection, shelf, where, change=True)
            if ids is not None:
                chosen.add("i.id IN (SELECT value FROM json_each(?))", json.dumps(list(ids)))
            found = connection.execute(
                f"SELECT i.n FROM items AS i WHERE {chosen.text}",  # noqa: S608 - no value in it
                chosen.values,
            )
            numbers = [row[0] for row in found.fetchall()]
            remove(connection, shelf.code, numbers)
            return Changes(shelf, shelf.made, removed=numbers)

        changes = await self._database.write(work, self._changed)
        return 0 if changes is None else len(changes.removed)

    async def drop(self, collection: str) -> bool:
        """As the interface says."""

        def work(connection: sqlite3.Connection) -> Shelf | None:
            shelf = self._shelves.get(collection)
            if shelf is not None:
                found = connection.execute(
                    "SELECT n FROM items WHERE collection = ?", (shelf.code,)
                )
                remove(connection, shelf.code, [row[0] for row in found.fetchall()])
                connection.execute("DELETE FROM fields WHERE collection = ?", (shelf.code,))
                connection.execute("DELETE FROM collections WHERE code = ?", (shelf.code,))
            return shelf

        def kept(shelf: Shelf | None) -> None:
            if shelf is not None:
                del self._shelves[collection]
                shelf.file.unlink(missing_ok=True)

        return await self._database.write(work, kept) is not None

    async def near(self, collection: str, vector: Vector, where: Where, limit: int) -> list[Hit]:
        """As the interface says."""
        shelf = await self._loaded(collection)
        if shelf is None or shelf.index is None:
            return []
        if len(vector) != shelf.index.dimension:
            raise WrongModel(wrong_model(collection, shelf.made, "", len(vector)))
        index = shelf.index
        return await self._database.read(
            lambda connection: queries.near(connection, shelf, index, vector, where, limit)
        )

    async def matching(self, collection: str, text: str, where: Where, limit: int) -> list[Hit]:
        """As the interface says."""
        shelf = self._shelves.get(collection)
        if shelf is None:
            return []
        return await self._database.read(
            lambda connection: queries.matching(connection, shelf, text, where, limit)
        )

    async def clear_vectors(self, collection: str, model: str) -> None:
        """As the interface says."""

        def work(connection: sqlite3.Connection) -> Shelf | None:
            shelf = self._shelves.get(collection)
            if shelf is not None:
                connection.execute(
                    "DELETE FROM vectors WHERE n IN (SELECT n FROM items WHERE collection = ?)",
                    (shelf.code,),
                )
                connection.execute(
                    "UPDATE items SET embedded = 0 WHERE collection = ?", (shelf.code,)
                )
                connection.execute(
                    "UPDATE collections SET model = ?, dimension = NULL, epoch = epoch + 1 "
                    "WHERE code = ?",
                    (model, shelf.code),
                )
            return shelf

        def kept(shelf: Shelf | None) -> None:
            if shelf is not None:
                # A new one: a search or a merge that is under way goes on with the old one.
                fresh = Shelf(
                    shelf.name, shelf.code, MadeWith(model, None), shelf.file, shelf.store
                )
                fresh.epoch = shelf.epoch + 1
                self._shelves[collection] = fresh
                shelf.file.unlink(missing_ok=True)

        await self._database.write(work, kept)

    async def give_vectors(self, collection: str, rows: Sequence[Row], *, model: str) -> int:
        """As the interface says, in one transaction."""

        def work(connection: sqlite3.Connection) -> Changes | None:
            shelf = self._shelves.get(collection)
            if shelf is None:
                return None
            ids = [row.item.id for row in rows]
            there = queries.by_ids(connection, shelf, ids, Where(Scope.everyone()))
            found = unchanged(rows, there)
            made = check_made_with(collection, shelf.made, model, found)
            return put(connection, shelf, made, found)

        changes = await self._database.write(work, self._changed)
        return 0 if changes is None else len(changes.rows)

    async def rebuild(self, collection: str) -> int:
        """Make the indexes of vectors and of words again from what is kept."""

        def work(connection: sqlite3.Connection) -> Shelf | None:
            shelf = self._shelves.get(collection)
            if shelf is None:
                return None
            connection.execute("INSERT INTO words (words) VALUES ('rebuild')")
            shelf.file.unlink(missing_ok=True)
            fresh = Shelf(shelf.name, shelf.code, shelf.made, shelf.file, shelf.store, shelf.epoch)
            fresh.open_index(connection)
            return fresh

        def kept(fresh: Shelf | None) -> None:
            if fresh is not None:
                self._shelves[collection] = fresh
                self._look(fresh)

        fresh = await self._database.write(work, kept)
        if fresh is None or fresh.index is None:
            return 0
        if self._merges:
            await asyncio.wait(self._merges)
        return len(fresh.index)

    async def stats(self, collection: str) -> Stats | None:
        """As the interface says."""
        shelf = await self._loaded(collection)
        if shelf is None:
            return None
        index = shelf.index

        def read(connection: sqlite3.Connection) -> Stats:
            counted = "SELECT count(*) FROM (SELECT DISTINCT {} FROM items WHERE collection = ?)"
            (sources,) = connection.execute(counted.format("source"), (shelf.code,)).fetchone()
            (owners,) = connection.execute(counted.format("owner"), (shelf.code,)).fetchone()
            size = self._folder.size()
            described = _described(connection, shelf)
            return Stats(described, sources, owners, size, "embedded", _details(index))

        return await self._database.read(read)

    async def _loaded(self, collection: str) -> Shelf | None:
        """The collection as it is by then, with its index if it has vectors."""
        shelf = self._shelves.get(collection)
        if shelf is None or shelf.index is not None or shelf.made.dimension is None:
            return shelf

        def work(connection: sqlite3.Connection) -> Shelf | None:
            shelf = self._shelves.get(collection)
            if shelf is not None:
                shelf.open_index(connection)
                self._look(shelf)
            return shelf

        return await self._database.write(work)

    def _read_collections(self, connection: sqlite3.Connection) -> None:
        (self._store,) = connection.execute(
            "SELECT value FROM about WHERE key = 'store'"
        ).fetchone()
        for name, code, model, dimension, epoch in connection.execute(
            "SELECT name, code, model, dimension, epoch FROM collections"
        ):
            made, file = MadeWith(model, dimension), self._folder.index(code)
            self._shelves[name] = Shelf(name, code, made, file, self._store, epoch)
        # A file of a state after this one, which a power failure or a backup took back, has other
        # vectors for numbers that are given from now on. Others are of what was dropped.
        (last,) = connection.execute(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'items'"
        ).fetchone()
        known = {shelf.file for shelf in self._shelves.values()}
        for file in self._folder.indexes():
            if file not in known or end_of(file) > last + 1:
                file.unlink(missing_ok=True)

    def _new(self, connection: sqlite3.Connection, name: str) -> Shelf:
        code = connection.execute("INSERT INTO collections (name) VALUES (?)", (name,)).lastrowid
        assert code is not None  # noqa: S101 - one row was inserted
        return Shelf(name, code, MadeWith("", None), self._folder.index(code), self._store)

    def _changed(self, changes: Changes | None) -> None:
        """Have what is kept now be found; in the thread that writes."""
        if changes is not None:
            changes.apply()
            self._shelves.setdefault(changes.shelf.name, changes.shelf)
            self._look(changes.shelf)

    def _look(self, shelf: Shelf) -> None:
        """Have the lists seen to if it is time; in the thread that writes."""
        if shelf.index is not None and shelf.index.due and not shelf.merging:
            shelf.merging = True
            self._loop.call_soon_threadsafe(self._begin, shelf)

    def _begin(self, shelf: Shelf) -> None:
        if self._maker is None:
            shelf.merging = False
            return
        task = self._loop.create_task(self._merge(shelf), name=f"dovetail vectors {shelf.name}")
        self._merges.add(task)
        task.add_done_callback(self._merges.discard)

    async def _merge(self, shelf: Shelf) -> None:
        """See to the lists, beside everything else, until there is no need for more."""
        try:
            while shelf.index is not None and shelf.index.due and self._maker is not None:
                merge = shelf.index.merging()
                await self._loop.run_in_executor(self._maker, merge.run)
                await self._database.between_writes(partial(shelf.index.finish, merge))
            if self._maker is not None:
                least = int(len(shelf.index or ()) * MEANWHILE)
                await self._database.between_writes(partial(self._save, shelf, least))
        finally:
            shelf.merging = False

    def _save(self, shelf: Shelf, least: int) -> None:
        """Save its index, if that is still the one of the collection."""
        if self._shelves.get(shelf.name) is shelf:
            shelf.save(least=least)


def _described(connection: sqlite3.Connection, shelf: Shelf) -> Collection:
    (items,) = connection.execute(
        "SELECT count(*) FROM items WHERE collection = ?", (shelf.code,)
    ).fetchone()
    (pending,) = connection.execute(
        "SELECT count(*) FROM items WHERE collection = ? AND NOT embedded", (shelf.code,)
    ).fetchone()
    return Collection(shelf.name, shelf.made.model, shelf.made.dimension, items, pending)


def _details(index: Index | None) -> dict[str, Any]:
    return {
        "lists": 0 if index is None else index.lists.nlist,
        "lists_looked_at": 0 if index is None else index.lists.nprobe,
        "vectors_in_lists": 0 if index is None else len(index),
    }
