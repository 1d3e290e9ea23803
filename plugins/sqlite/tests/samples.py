"""What the tests of plugin `sqlite` keep, and another program that looks at the file."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import asynccontextmanager, closing, contextmanager
from typing import TYPE_CHECKING, Any

from dovetail import ChatMessage, Session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from dovetail_sqlite import Database, SqliteSessions

PATIENCE = 30.0
"""Seconds after which a test that hangs is over."""


def turn(number: int) -> list[ChatMessage]:
    return [ChatMessage.user(f"question {number}"), ChatMessage.assistant(f"answer {number}")]


def texts(messages: Sequence[ChatMessage]) -> list[str]:
    return [message.text for message in messages]


async def history(store: SqliteSessions, session_id: str, last: int | None = None) -> list[str]:
    """What was said in a session, which must be there."""
    session = await store.load(session_id, last)
    assert session is not None
    return texts(session.history)


async def with_turns(store: SqliteSessions, session_id: str, turns: int) -> Session:
    """A session that has so many."""
    session = Session(session_id=session_id)
    for number in range(turns):
        await store.append(session, turn(number))
    return session


def ask(file: Path, query: str, *values: object) -> list[Any]:
    """What another program sees in the file, or does to it."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        return connection.execute(query, values).fetchall()


@contextmanager
def locked(file: Path) -> Iterator[sqlite3.Connection]:
    """Another program is writing, and does not end."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@asynccontextmanager
async def held_up(database: Database) -> AsyncIterator[None]:
    """A write goes on until the end of the block: what is asked in it waits, and then together."""
    begun, free = threading.Event(), threading.Event()

    def work(_: sqlite3.Connection) -> bool:
        begun.set()
        return free.wait(PATIENCE)

    first = asyncio.create_task(database.write(work))
    while not begun.is_set():  # noqa: ASYNC110 - a thread sets it
        await asyncio.sleep(0.001)
    yield
    await asyncio.sleep(0)  # the tasks that were made in the block begin
    free.set()
    assert await first is True
