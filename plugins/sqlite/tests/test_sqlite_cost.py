"""A long history costs no more than a short one: counted in work, not in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail import Session
from plugins.sqlite.tests.samples import ask, turn

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from dovetail_sqlite import SqliteSessions
    from plugins.sqlite.tests.conftest import Open


async def long_session(store: SqliteSessions, id_: str, messages: int) -> Session:
    session = Session(session_id=id_)
    await store.append(session, turn(0) * (messages // 2 - 20))
    for number in range(20):
        await store.append(session, turn(number))
    return session


async def work_of(store: SqliteSessions, id_: str, last: int) -> int:
    """How many of SQLite's instructions it takes to load a tail."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    def watch(connection: sqlite3.Connection) -> None:
        connection.set_progress_handler(step, 1)

    assert store.database is not None
    await store.database.read(watch)
    steps = 0
    assert await store.load(id_, last) is not None
    return steps


async def test_a_tail_is_read_without_what_is_before_it(opened: Open) -> None:
    store = await opened(cache_size=0)
    for number, messages in enumerate((100, 10_000)):
        await long_session(store, f"{number}", messages)
    short, long = [await work_of(store, f"{number}", 20) for number in range(2)]
    assert short > 0
    assert abs(long - short) <= 10, f"{long} instructions at 10,000 messages, {short} at 100"


async def test_an_append_writes_what_is_new_alone(store: SqliteSessions, file: Path) -> None:
    log = file.with_name(f"{file.name}-wal")
    sizes = []
    for number, messages in enumerate((100, 10_000)):
        session = await long_session(store, f"{number}", messages)
        ask(file, "PRAGMA wal_checkpoint(TRUNCATE)")
        for count in range(10):
            await store.append(session, turn(count))
        sizes.append(log.stat().st_size)
    assert sizes[1] <= 1.5 * sizes[0], f"bytes written for ten turns: {sizes}"


async def test_a_list_of_a_user_reads_that_users_alone(store: SqliteSessions, file: Path) -> None:
    plan = ask(
        file,
        "EXPLAIN QUERY PLAN SELECT key FROM sessions WHERE session_id > '' AND user_id IS ? "
        "ORDER BY session_id LIMIT 3",
        "ada",
    )
    assert [row[3] for row in plan] == [
        "SEARCH sessions USING COVERING INDEX sessions_of_users (user_id=? AND session_id>?)"
    ]
    assert await store.list_sessions("ada") == []
