"""Which collections there are, and what has to be alone to change one.

Whoever puts items in shares the collection's row; whoever decides its model or dimension, or makes,
clears or drops it, has it alone. So the first of two that put different vectors decides, and what
is checked stays so until it is written.
"""
# ruff: noqa: S608 - statements hold a schema's name and numbers of ours, no values

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from dovetail_postgres.vectors.tables import Shelf, index_of_vectors, reserve, table_of_items
from dovetail_vectorstore.backend import MadeWith
from dovetail_vectorstore.items import Collection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from dovetail_postgres.database import Connection
    from dovetail_postgres.vectors.settings import PgvectorSettings

_COLUMNS = "code, name, model, dimension"


class Shelves:
    """The collections of one schema."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._table = f'"{schema}".vector_collections'

    async def find(self, connection: Connection, name: str, *, lock: str = "") -> Shelf | None:
        """The collection of this name, perhaps with a lock: `FOR SHARE` or `FOR UPDATE`."""
        row = await connection.fetchrow(
            f"SELECT {_COLUMNS} FROM {self._table} WHERE name = $1 {lock}", name
        )
        return None if row is None else self._shelf(row)

    async def find_to_search(
        self, connection: Connection, name: str, candidates: int
    ) -> Shelf | None:
        """The collection, and until the end of the transaction what a search of it needs.

        A scan of an index goes on until enough pass the filter. Values are seen when a statement is
        planned: a plan for all values would not know which of them are rare.
        """
        row = await connection.fetchrow(
            f"SELECT {_COLUMNS}, set_config('hnsw.iterative_scan', 'relaxed_order', true), "
            "set_config('hnsw.ef_search', $2, true), set_config('jit', 'off', true), "
            "set_config('plan_cache_mode', 'force_custom_plan', true) "
            f"FROM {self._table} WHERE name = $1",
            name,
            str(candidates),
        )
        return None if row is None else self._shelf(row)

    @asynccontextmanager
    async def alone(
        self, connection: Connection, name: str, *, rework: bool = True, make: bool = False
    ) -> AsyncIterator[Shelf | None]:
        """A transaction that has the collection alone.

        `rework`: to change its table or its index. `make`: if it is not there it is made with its
        table, and it is None if somebody made it just now.
        """
        # A rebuild waits for every transaction that has read something, and is waited for here. So
        # nothing may be read in this one until that is over.
        shelf = await self.find(connection, name)
        async with connection.transaction():
            if shelf is not None:
                if rework:
                    await connection.execute(reserve(shelf))
                shelf = await self.find(connection, name, lock="FOR UPDATE")
            elif make:
                shelf = await self._make(connection, name)
            yield shelf

    async def decide(
        self, connection: Connection, shelf: Shelf, made: MadeWith, settings: PgvectorSettings
    ) -> None:
        """Note what makes the vectors of a collection that is had alone, and make their index."""
        await connection.execute(
            f"UPDATE {self._table} SET model = $1, dimension = $2 WHERE code = $3",
            made.model,
            made.dimension,
            shelf.code,
        )
        if made.dimension != shelf.made.dimension and made.dimension is not None:
            await connection.execute(f"DROP INDEX IF EXISTS {shelf.index}")
            index = index_of_vectors(shelf, made.dimension, settings)
            if index:
                await connection.execute(index)

    async def drop(self, connection: Connection, shelf: Shelf) -> None:
        """Remove a collection that is had alone."""
        await connection.execute(f"DELETE FROM {self._table} WHERE code = $1", shelf.code)
        await connection.execute(f"DROP TABLE {shelf.table}")

    async def described(self, connection: Connection, name: str | None = None) -> list[Collection]:
        """What is known of all collections, or of one."""
        rows = await connection.fetch(
            f"SELECT {_COLUMNS} FROM {self._table} "
            "WHERE $1::text IS NULL OR name = $1 ORDER BY name",
            name,
        )
        shelves = [self._shelf(row) for row in rows]
        counts = await _counts(connection, shelves)
        return [
            Collection(s.name, s.made.model, s.made.dimension, *counts[s.code]) for s in shelves
        ]

    async def _make(self, connection: Connection, name: str) -> Shelf | None:
        row = await connection.fetchrow(
            f"INSERT INTO {self._table} (name) VALUES ($1) ON CONFLICT (name) DO NOTHING "
            f"RETURNING {_COLUMNS}",
            name,
        )
        if row is None:
            return None
        shelf = self._shelf(row)
        await connection.execute(table_of_items(shelf))
        return shelf

    def _shelf(self, row: Any) -> Shelf:
        made = MadeWith(row["model"], row["dimension"])
        return Shelf(self._schema, row["name"], row["code"], made)


async def _counts(connection: Connection, shelves: Sequence[Shelf]) -> dict[int, tuple[int, int]]:
    """How many items each has, and how many of them wait for a vector."""
    if not shelves:
        return {}
    rows = await connection.fetch(
        " UNION ALL ".join(
            f"SELECT {shelf.code}::bigint, (SELECT count(*) FROM {shelf.table}), "
            f"(SELECT count(*) FROM {shelf.table} WHERE embedding IS NULL)"
            for shelf in shelves
        )
    )
    return {code: (items, pending) for code, items, pending in rows}
