"""Which collections there are, and what has to be alone to change one.

Whoever puts items in shares the collection's row; whoever decides its model or dimension, or makes,
clears or drops it, has it alone. So the first of two that put different vectors decides, and what
is checked stays so until it is written.
"""
# ruff: noqa: S608 - statements hold a schema's name and numbers of ours, no values

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail_postgres.vectors.tables import Shelf, index_of_vectors, table_of_items
from dovetail_vectorstore.backend import MadeWith
from dovetail_vectorstore.items import Collection

if TYPE_CHECKING:
    from collections.abc import Sequence

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

    async def find_or_make(self, connection: Connection, name: str) -> Shelf:
        """The collection, had alone; made with its table if it is not there."""
        row = await connection.fetchrow(
            f"INSERT INTO {self._table} (name) VALUES ($1) ON CONFLICT (name) "
            f"DO UPDATE SET name = excluded.name RETURNING {_COLUMNS}",
            name,
        )
        shelf = self._shelf(row)
        if await connection.fetchval("SELECT to_regclass($1)::oid", shelf.table) is None:
            await connection.execute(table_of_items(shelf))
        return shelf

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

    async def drop(self, connection: Connection, name: str) -> bool:
        """Remove it; whether it was there."""
        row = await connection.fetchrow(
            f"DELETE FROM {self._table} WHERE name = $1 RETURNING {_COLUMNS}", name
        )
        if row is not None:
            await connection.execute(f"DROP TABLE {self._shelf(row).table}")
        return row is not None

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
