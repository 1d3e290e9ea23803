"""What is done to a collection while others make its indexes anew."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from dovetail_vectorstore.backend import MadeWith, Where
from dovetail_vectorstore.items import Row
from dovetail_vectorstore.preparing import unit
from dovetail_vectorstore.testing import EVERYBODY, axis, row

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from dovetail_postgres.vectors import PostgresVectors
    from plugins.postgres.tests.conftest import OpenVectors

ALL = Where(EVERYBODY)
CHANGES: dict[str, Callable[[PostgresVectors], Coroutine[Any, Any, Any]]] = {
    "drop": lambda v: v.drop("docs"),
    "clear_vectors": lambda v: v.clear_vectors("docs", "m"),
    "rebuild": lambda v: v.rebuild("docs"),
}


async def until_waiting(sql: Any, query: str) -> None:
    """Return when a statement like this waits for a lock."""
    waiting = (
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE NOT granted AND query LIKE $1"
    )
    async with asyncio.timeout(20):
        while not await sql.fetchval(waiting, f"%{query}%"):
            await sql.execute("SELECT pg_stat_clear_snapshot()")  # else a transaction sees no news


@pytest.mark.parametrize("change", CHANGES)
async def test_who_changes_it_waits_for_a_rebuild_and_ends_none(
    opened_vectors: OpenVectors, sql: Any, schema: str, change: str
) -> None:
    # Nothing is tried again here: a deadlock would be told.
    one, other = await opened_vectors(retry_for=0), await opened_vectors(retry_for=0)
    await one.put("docs", [row("text", axis(0), item_id="1")], model="m")
    async with sql.transaction(isolation="repeatable_read"):
        await sql.fetchval(f"SELECT count(*) FROM {schema}.vectors_1")
        rebuilding = asyncio.create_task(one.rebuild("docs"))
        await until_waiting(sql, "REINDEX")
        changing = asyncio.create_task(CHANGES[change](other))
        await until_waiting(sql, "SHARE UPDATE EXCLUSIVE")
        # Nobody waits for the one that waits.
        await other.put("docs", [row("more", axis(1), item_id="2")], model="m")
        assert len(await one.page("docs", ALL)) == 2
    _, changed = await asyncio.gather(rebuilding, changing)
    assert changed in (None, True, 2)


async def test_of_many_at_once_each_is_done(opened_vectors: OpenVectors) -> None:
    stores = [await opened_vectors(retry_for=30) for _ in range(2)]
    kept = [row(f"text {n}", item_id=f"{n}") for n in range(8)]
    await stores[0].put("docs", kept, model="m")

    async def give(vectors: PostgresVectors) -> None:
        there = await vectors.page("docs", ALL)
        await vectors.give_vectors("docs", [Row(i, unit(axis(0))) for i in there], model="m")

    for _ in range(3):
        await asyncio.gather(
            *(give(vectors) for vectors in stores),
            *(vectors.put("docs", kept[::-1], model="m") for vectors in stores),
            *(vectors.rebuild("docs") for vectors in stores),
            stores[0].clear_vectors("docs", "m"),
        )
        await give(stores[0])
        assert await stores[1].made_with("docs") == MadeWith("m", 4)
        assert len(await stores[1].near("docs", unit(axis(0)), ALL, 10)) == 8
        assert len(await stores[1].page("docs", ALL, pending=True)) == 0
