"""Reading sessions; run in a thread of the database's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dovetail_sqlite.rows import COLUMNS, Head, TurnRow, corrupt, read_turns
from dovetail_sqlite.tables import place
from dovetail_sqlite.tails import MESSAGE_BYTES, Tail

if TYPE_CHECKING:
    import sqlite3

    from dovetail import Session

_HEAD = f"SELECT {COLUMNS} FROM sessions WHERE session_id = ?"  # noqa: S608 - a constant
_TURNS = "SELECT place, batch, CAST(messages AS BLOB) FROM turns WHERE place >= ? AND place < ?"
_BEFORE = "SELECT max(place) FROM turns WHERE place BETWEEN ? AND ?"

MOST_ADDED = 20
"""Messages that `refresh` reads at most."""


def present() -> int:
    """The time in microseconds since 1970."""
    return time.time_ns() // 1000


def load(
    connection: sqlite3.Connection, session_id: str, last: int | None
) -> tuple[Session, Tail | None] | None:
    """A session with the end of its history, and that end to be remembered.

    Raises:
        SessionCorrupt: what is stored cannot be understood.
    """
    head = _head(connection, session_id)
    if head is None:
        return None
    try:
        session = head.session()
        first = _first(session, last)
        if first == session.message_count:
            return session, None
        tail = _read(connection, head.key, first, session.message_count)
    except ValueError as error:
        raise corrupt(session_id, head.user_id, error) from error
    session.history = list(tail.messages)
    return session, tail


def refresh(
    connection: sqlite3.Connection, session_id: str, last: int | None, known: Tail
) -> tuple[Session, Tail] | None:
    """The same by what is remembered, of which only what came since is read.

    None if that is not enough, or not right any more, or there is much to read.

    Raises:
        ValueError: what is stored cannot be understood.
    """
    head = _head(connection, session_id)
    if head is None or head.key != known.key:
        return None
    session = head.session()
    first, count = _first(session, last), session.message_count
    if not known.start <= first < count or not 0 <= count - known.end <= MOST_ADDED:
        return None
    rows = _turns(connection, known.place, head.key)
    if not rows or (rows[0].place, rows[0].batch) != (known.place, known.batch):
        return None
    added = read_turns(rows[1:], known.end, count)
    together = known.messages + added
    messages = together[first - known.start :]
    size = (known.size + _size(rows[1:], len(added))) * len(messages) // len(together)
    tail = Tail(known.key, messages, count, rows[-1].place, rows[-1].batch, size)
    session.history = list(tail.messages)
    return session, tail


def page(connection: sqlite3.Connection, wanted: dict[str, Any]) -> list[Head]:
    """The heads of sessions whose time is not over, in the order of their ids.

    `wanted` has `after` and `limit`, and may have `user_id` and `before` (microseconds).
    """
    conditions = ["session_id > :after", "(expiry_at IS NULL OR expiry_at > :present)"]
    if "user_id" in wanted:
        conditions.append("user_id IS :user_id")
    if "before" in wanted:
        conditions.append("expiry_at < :before")
    query = (
        f"SELECT {COLUMNS} FROM sessions WHERE {' AND '.join(conditions)} "  # noqa: S608 - constants
        "ORDER BY session_id LIMIT :limit"
    )
    return [Head._make(row) for row in connection.execute(query, {**wanted, "present": present()})]


def expired(connection: sqlite3.Connection, limit: int) -> list[int]:
    """The keys of sessions whose time is over."""
    query = "SELECT key FROM sessions WHERE expiry_at <= ? LIMIT ?"
    return [key for (key,) in connection.execute(query, (present(), limit))]


def _head(connection: sqlite3.Connection, session_id: str) -> Head | None:
    """A session's row, unless its time is over."""
    row = connection.execute(_HEAD, (session_id,)).fetchone()
    if row is None:
        return None
    head = Head._make(row)
    if isinstance(head.expiry_at, int) and head.expiry_at <= present():
        return None
    return head


def _first(session: Session, last: int | None) -> int:
    """How many messages are before the last `last`."""
    count = session.message_count
    return 0 if last is None else min(max(count - last, 0), count)


def _read(connection: sqlite3.Connection, key: int, first: int, count: int) -> Tail:
    (begin,) = connection.execute(_BEFORE, (place(key), place(key, first))).fetchone()
    rows = _turns(connection, place(key, first) if begin is None else begin, key)
    messages = read_turns(rows, first, count)[first - count :]
    return Tail(key, messages, count, rows[-1].place, rows[-1].batch, _size(rows, len(messages)))


def _turns(connection: sqlite3.Connection, begin: int, key: int) -> list[TurnRow]:
    found = connection.execute(_TURNS, (begin, place(key + 1)))
    return [TurnRow._make(row) for row in found]


def _size(rows: list[TurnRow], messages: int) -> int:
    return sum(len(row.messages) for row in rows) + MESSAGE_BYTES * messages
