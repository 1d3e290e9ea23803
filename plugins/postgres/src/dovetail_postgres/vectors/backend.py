"""The backend: every call is one transaction, tried again while the server is away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from dovetail import ContextAwareService
from dovetail_postgres.errors import DatabaseError
from dovetail_postgres.pool import PostgresPool
from dovetail_postgres.vectors import building, queries, writing
from dovetail_postgres.vectors.failures import BUSY, RACED, failure_of, failure_to_open, sqlstate
from dovetail_postgres.vectors.opening import prepare
from dovetail_postgres.vectors.settings import PgvectorSettings
from dovetail_postgres.vectors.shelves import Shelves
from dovetail_vectorstore.backend import (
    VectorBackend,
    Where,
    check_made_with,
    unchanged,
    wrong_model,
)
from dovetail_vectorstore.errors import WrongModel
from dovetail_vectorstore.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from dovetail import SmartDependencyContainer
    from dovetail_postgres.database import Connection, Database
    from dovetail_postgres.vectors.tables import Shelf
    from dovetail_vectorstore.backend import MadeWith
    from dovetail_vectorstore.items import Collection, Hit, Row, Source, Stats, Stored, Vector

T = TypeVar("T")

READ_SECONDS = 30.0
"""How long one try of a search may take: one that no index helps reads all there is."""
WRITE_SECONDS = 120.0
BUILD_SECONDS = 4 * 3600.0
"""As above, of what looks at every vector."""
MOST_CANDIDATES = 1_000
"""More pgvector does not take; it goes on from there."""
TRIES = 5
"""How often a call is begun that others got in the way of."""
PAUSE = 0.1
"""How long to wait before the next look at whether a collection can be changed."""


class PostgresVectors(ContextAwareService, VectorBackend):
    """Keeps items in PostgreSQL with pgvector, for any number of processes.

    `backend = "pgvector"` in `[plugins.vectorstore]` chooses it. Its tables are made when it is
    first asked.
    """

    name = "pgvector"
    # The vector store holds on to its backend, and changes only at a restart.
    exclusive = True
    settings: PgvectorSettings
    shared: PostgresPool

    def __init__(self, dependency_container: SmartDependencyContainer | None = None) -> None:
        super().__init__(dependency_container)
        self.settings = PgvectorSettings()
        self._database: Database | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Connect, and make the extension and the tables, or bring them up to date."""
        await self._open()

    async def close(self) -> None:
        """The connections are those of the pool, and closed with it."""

    async def collections(self) -> list[Collection]:
        """As the interface says."""
        return await self._run(
            "listing the collections", lambda c, shelves: shelves.described(c), WRITE_SECONDS
        )

    async def made_with(self, collection: str) -> MadeWith | None:
        """As the interface says."""

        async def work(connection: Connection, shelves: Shelves) -> MadeWith | None:
            shelf = await shelves.find(connection, collection)
            return None if shelf is None else shelf.made

        return await self._run(f"looking for `{collection}`", work, READ_SECONDS)

    async def put(self, collection: str, rows: Sequence[Row], *, model: str) -> None:
        """As the interface says."""
        writing.check(rows)

        async def work(connection: Connection, shelves: Shelves) -> None:
            while True:
                async with connection.transaction():
                    shelf = await shelves.find(connection, collection, lock="FOR SHARE")
                    known = None if shelf is None else shelf.made
                    made = check_made_with(collection, known, model, rows)
                    if shelf is not None and made == known:
                        return await writing.put(connection, shelf, rows)
                # alone, as this decides something for all
                async with shelves.alone(connection, collection, make=True) as shelf:
                    if shelf is not None:
                        made = check_made_with(collection, shelf.made, model, rows)
                        await shelves.decide(connection, shelf, made, self.settings)
                        return await writing.put(connection, shelf, rows)

        await self._run(f"putting into `{collection}`", work, WRITE_SECONDS)

    async def give_vectors(self, collection: str, rows: Sequence[Row], *, model: str) -> int:
        """As the interface says; alone in the collection, so that nothing comes in between."""
        ids = [row.item.id for row in rows]

        async def work(connection: Connection, shelves: Shelves) -> int:
            for rework in (False, True):
                async with shelves.alone(connection, collection, rework=rework) as shelf:
                    if shelf is None:
                        break
                    there = await queries.by_ids(connection, shelf, ids, Where(Scope.everyone()))
                    found = unchanged(rows, there)
                    made = check_made_with(collection, shelf.made, model, found)
                    if rework or made == shelf.made:
                        await shelves.decide(connection, shelf, made, self.settings)
                        await writing.put(connection, shelf, found)
                        return len(found)
            return 0

        return await self._run(f"embedding what is in `{collection}`", work, WRITE_SECONDS)

    async def get(self, collection: str, ids: Sequence[str], scope: Scope) -> list[Stored]:
        """As the interface says."""
        return await self._ask(collection, [], lambda c, s: queries.by_ids(c, s, ids, Where(scope)))

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
        return await self._ask(
            collection, [], lambda c, s: queries.page(c, s, where, after, limit, pending)
        )

    async def sources(self, collection: str, where: Where) -> list[Source]:
        """As the interface says."""
        return await self._ask(collection, [], lambda c, s: queries.sources(c, s, where))

    async def delete(
        self, collection: str, where: Where, *, ids: Sequence[str] | None = None
    ) -> int:
        """As the interface says."""

        async def work(connection: Connection, shelves: Shelves) -> int:
            async with connection.transaction():
                shelf = await shelves.find(connection, collection, lock="FOR SHARE")
                return 0 if shelf is None else await writing.delete(connection, shelf, where, ids)

        return await self._run(f"deleting from `{collection}`", work, WRITE_SECONDS)

    async def drop(self, collection: str) -> bool:
        """As the interface says."""

        async def work(connection: Connection, shelves: Shelves) -> bool:
            async with shelves.alone(connection, collection) as shelf:
                if shelf is not None:
                    await shelves.drop(connection, shelf)
                return shelf is not None

        return await self._run(f"dropping `{collection}`", work, WRITE_SECONDS)

    async def near(self, collection: str, vector: Vector, where: Where, limit: int) -> list[Hit]:
        """As the interface says."""

        async def work(connection: Connection, shelf: Shelf) -> list[Hit]:
            if shelf.made.dimension is None:
                return []
            if len(vector) != shelf.made.dimension:
                raise WrongModel(wrong_model(collection, shelf.made, "", len(vector)))
            return await queries.near(connection, shelf, vector, where, limit)

        return await self._ask(collection, [], work, candidates=self._candidates(limit))

    async def matching(self, collection: str, text: str, where: Where, limit: int) -> list[Hit]:
        """As the interface says."""
        return await self._ask(
            collection,
            [],
            lambda c, s: queries.matching(c, s, text, where, limit),
            candidates=self._candidates(limit),
        )

    async def clear_vectors(self, collection: str, model: str) -> None:
        """As the interface says."""

        async def work(connection: Connection, shelves: Shelves) -> None:
            async with shelves.alone(connection, collection) as shelf:
                if shelf is not None:
                    await writing.clear(connection, shelf)
                    made = type(shelf.made)(model, None)
                    await shelves.decide(connection, shelf, made, self.settings)

        await self._run(f"clearing the vectors of `{collection}`", work, BUILD_SECONDS)

    async def rebuild(self, collection: str) -> int:
        """Make the indexes anew, while others go on; with the settings as they are now."""

        async def work(connection: Connection, shelves: Shelves) -> int:
            shelf = await shelves.find(connection, collection)
            return 0 if shelf is None else await building.rebuild(connection, shelf, self.settings)

        return await self._run(f"indexing `{collection}`", work, BUILD_SECONDS)

    async def stats(self, collection: str) -> Stats | None:
        """As the interface says."""

        async def work(connection: Connection, shelves: Shelves) -> Stats | None:
            shelf = await shelves.find(connection, collection)
            known = await shelves.described(connection, collection)
            if shelf is None or not known:
                return None
            return await building.stats(connection, shelf, known[0])

        return await self._run(f"counting `{collection}`", work, WRITE_SECONDS)

    async def _ask(
        self,
        collection: str,
        nothing: T,
        work: Callable[[Connection, Shelf], Awaitable[T]],
        *,
        candidates: int = 0,
    ) -> T:
        """What `work` finds in a collection; `nothing` if there is none.

        `candidates`: how many a search looks at, which is set for its transaction.
        """

        async def found(connection: Connection, shelves: Shelves) -> T:
            if not candidates:
                shelf = await shelves.find(connection, collection)
                return nothing if shelf is None else await work(connection, shelf)
            async with connection.transaction():
                shelf = await shelves.find_to_search(connection, collection, candidates)
                return nothing if shelf is None else await work(connection, shelf)

        return await self._run(f"reading `{collection}`", found, READ_SECONDS)

    def _candidates(self, limit: int) -> int:
        return min(max(self.settings.ef_search, limit), MOST_CANDIDATES)

    async def _run(
        self, what: str, work: Callable[[Connection, Shelves], Awaitable[T]], timeout: float
    ) -> T:
        database = await self._open()
        shelves = Shelves(database.schema)
        loop = asyncio.get_running_loop()
        end, tries = loop.time() + timeout, TRIES
        while True:
            try:
                return await database.run(lambda c: work(c, shelves), timeout=timeout)
            except DatabaseError as error:
                tries -= sqlstate(error) in RACED
                busy = sqlstate(error) in BUSY and loop.time() < end
                if not tries or not (busy or sqlstate(error) in RACED):
                    raise failure_of(error, what) from error
            if busy:
                await asyncio.sleep(PAUSE)

    async def _open(self) -> Database:
        async with self._opening:
            if self._database is None:
                try:
                    database = await self.shared.open()
                    await prepare(database)
                except DatabaseError as error:
                    raise failure_to_open(error) from error
                self._database = database
        return self._database
