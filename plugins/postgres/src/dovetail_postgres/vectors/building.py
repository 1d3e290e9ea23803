"""Indexes made anew, and what is known of a collection.

No statement holds a value but names and numbers of ours.
"""
# ruff: noqa: S608

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from dovetail_postgres.vectors.tables import index_of_vectors, kind_of, reserve
from dovetail_vectorstore.items import Stats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dovetail_postgres.database import Connection
    from dovetail_postgres.vectors.settings import PgvectorSettings
    from dovetail_postgres.vectors.tables import Shelf
    from dovetail_vectorstore.items import Collection


async def rebuild(connection: Connection, shelf: Shelf, settings: PgvectorSettings) -> int:
    """Make every index anew beside the old one, outside a transaction; how many vectors there are.

    One that was broken off leaves an index that is not valid, which is removed first.
    """
    async with connection.transaction():
        await connection.execute(reserve(shelf))  # one that is under way is waited for
        there = await _prepare(connection, shelf, settings)
    made = index_of_vectors(shelf, shelf.made.dimension, settings)
    async with _stopped_with_the_call(connection):
        await connection.execute(f"REINDEX TABLE CONCURRENTLY {shelf.table}")
        if made and not there:
            await connection.execute(made)
        # Not behind another rebuild, which would wait for this in turn.
        await connection.execute(f"ANALYZE (SKIP_LOCKED) {shelf.table}")
    count: int = await connection.fetchval(
        f"SELECT count(*) FROM {shelf.table} WHERE embedding IS NOT NULL"
    )
    return count


async def _prepare(connection: Connection, shelf: Shelf, settings: PgvectorSettings) -> bool:
    """Remove what was broken off, and note the settings; whether there is an index of vectors."""
    broken = await connection.fetch(
        "SELECT indexrelid::regclass::text FROM pg_index "
        "WHERE indrelid = to_regclass($1) AND NOT indisvalid AND NOT indisprimary",
        shelf.table,
    )
    for (name,) in broken:
        await connection.execute(f"DROP INDEX IF EXISTS {name}")
    index = await connection.fetchrow(
        "SELECT reloptions FROM pg_class WHERE oid = to_regclass($1)", shelf.index
    )
    wanted = [f"m={settings.m}", f"ef_construction={settings.ef_construction}"]
    # Only where they are others: it waits for all searches, and has new ones wait.
    if index is not None and sorted(index[0] or ()) != sorted(wanted):
        await connection.execute(f"ALTER INDEX {shelf.index} SET ({', '.join(wanted)})")
    return index is not None


async def stats(connection: Connection, shelf: Shelf, described: Collection) -> Stats:
    """What is known of a collection, counted now."""
    different = f"(SELECT count(*) FROM (SELECT DISTINCT {{}} FROM {shelf.table}) AS different)"
    sources, owners, disk, index = await connection.fetchrow(
        f"SELECT {different.format('source')}, {different.format('owner')}, "
        "pg_total_relation_size(to_regclass($1)), "
        "coalesce(pg_relation_size(to_regclass($2)), 0)",
        shelf.table,
        shelf.index,
    )
    kind = kind_of(shelf.made.dimension)
    details = {
        "table": f"{shelf.schema}.vectors_{shelf.code}",
        "index": f"hnsw, {kind}" if kind and index else "none: every search is exact",
        "index_bytes": index,
    }
    return Stats(described, sources, owners, disk, "pgvector", details)


@asynccontextmanager
async def _stopped_with_the_call(connection: Connection) -> AsyncIterator[None]:
    """Have the server stop what it is at when the call is cancelled, as a transaction does."""
    try:
        yield
    except asyncio.CancelledError:
        # asyncpg has it told to stop before it asks for anything else; of a connection that was
        # only closed it would take notice when it is done.
        with suppress(Exception):
            await connection.execute("SELECT")
        raise
