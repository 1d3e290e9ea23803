"""Writing sessions; run in the database's thread that writes.

A transaction may be run again though it was kept, where that was not clear: each of these sees to
it that nothing is done twice.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from dovetail import SessionConflict, SessionForbidden
from dovetail_sqlite.reading import present
from dovetail_sqlite.rows import corrupt, dump_messages, dump_objects, microseconds, named
from dovetail_sqlite.tables import place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail import ChatMessage, Session

_FIND = (
    "SELECT key, CAST(user_id AS BLOB), created_at, expiry_at, message_count, version "
    "FROM sessions WHERE session_id = ?"
)
_TOUCH = "UPDATE sessions SET last_accessed_at = ?, expiry_at = ?, message_count = ? WHERE key = ?"
_CHANGE = (
    "UPDATE sessions SET last_accessed_at = ?, expiry_at = ?, version = version + 1, "
    "state = ?, preferences = ?, auth_info = ? WHERE key = ?"
)
_IS_SO = (
    "SELECT 1 FROM sessions WHERE last_accessed_at = ? AND expiry_at IS ? AND state = ? "
    "AND preferences = ? AND auth_info IS ? AND key = ? AND version = ?"
)
_MAKE = (
    "INSERT INTO sessions (session_id, user_id, created_at, last_accessed_at, expiry_at, "
    "message_count, version, state, preferences, auth_info) VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?)"
)


class _Stored(NamedTuple):
    key: int
    user_id: bytes | None
    created_at: int
    expiry_at: int | None
    message_count: int
    version: int

    def is_over(self) -> bool:
        return isinstance(self.expiry_at, int) and self.expiry_at <= present()


class Kept(NamedTuple):
    """What is not the caller's to say of a session that was set."""

    created_at: int
    message_count: int
    version: int


class _Write:
    """A session as it was when it was handed over, to be written by a call."""

    def __init__(self, session: Session, messages: Sequence[ChatMessage]) -> None:
        self.session_id = session.session_id
        self.user_id = session.user_id
        self.created_at = microseconds(session.created_at)
        self.times = (microseconds(session.last_accessed_at), microseconds(session.expiry_at))
        self.objects = dump_objects(session)
        self.count = len(messages)
        self.messages = dump_messages(session.session_id, messages) if messages else b""
        self.batch = int.from_bytes(os.urandom(8)) >> 1
        self.tried = False

    def find(self, connection: sqlite3.Connection) -> _Stored | None:
        """What is stored of it.

        Raises:
            SessionCorrupt: its row cannot be understood.
            SessionForbidden: it is another user's, and its time is not over.
        """
        row = connection.execute(_FIND, (self.session_id,)).fetchone()
        if row is None:
            return None
        stored = _Stored._make(row)
        numbers = (stored.created_at, stored.message_count, stored.version)
        if not all(isinstance(number, int) for number in numbers):
            what = ValueError("its time or its counts are no numbers")
            raise corrupt(self.session_id, stored.user_id, what)
        owner = None if stored.user_id is None else stored.user_id.decode(errors="replace")
        if owner != self.user_id and not stored.is_over():
            message = f"session {named(self.session_id)} belongs to another user"
            raise SessionForbidden(message)
        return stored

    def make(self, connection: sqlite3.Connection) -> Kept:
        """Make it, with the messages."""
        values = (self.session_id, self.user_id, self.created_at, *self.times, self.count)
        made = connection.execute(_MAKE, (*values, *self.objects))
        self.add(connection, made.lastrowid or 0, 0)
        return Kept(self.created_at or 0, self.count, 1)

    def add(self, connection: sqlite3.Connection, key: int, position: int) -> None:
        """Add the messages to its history."""
        if self.count:
            connection.execute(
                "INSERT INTO turns VALUES (?, ?, CAST(? AS TEXT))",
                (place(key, position), self.batch, self.messages),
            )


class Append(_Write):
    """Adds messages to a session, which is made if it is not there."""

    def __call__(self, connection: sqlite3.Connection) -> None:
        """Do it.

        Raises:
            SessionCorrupt: its messages were not counted right.
            SessionForbidden: it is another user's.
        """
        again, self.tried = self.tried, True
        stored = self.find(connection)
        # One whose time ended during the turn goes on; one that was made anew under its id begins.
        if stored is not None and stored.is_over() and stored.created_at != self.created_at:
            remove(connection, stored.key)
            stored = None
        if stored is None:
            self.make(connection)
        elif not (again and self._is_there(connection, stored.key)):
            try:
                count = stored.message_count + self.count
                connection.execute(_TOUCH, (*self.times, count, stored.key))
                self.add(connection, stored.key, stored.message_count)
            except (ValueError, sqlite3.IntegrityError) as error:
                what = ValueError(f"it does not have {stored.message_count} messages")
                raise corrupt(self.session_id, stored.user_id, what) from error

    def _is_there(self, connection: sqlite3.Connection, key: int) -> bool:
        query = "SELECT 1 FROM turns WHERE place >= ? AND place < ? AND batch = ?"
        found = connection.execute(query, (place(key), place(key + 1), self.batch))
        return found.fetchone() is not None


class Put(_Write):
    """Saves a session's state if its version is the stored one, or makes it with its history."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, session.history if session.version == 0 else ())
        self.version = session.version

    def __call__(self, connection: sqlite3.Connection) -> Kept:
        """Do it.

        Raises:
            SessionConflict: the stored version is another, or it is not there any more.
            SessionForbidden: it is another user's.
        """
        again, self.tried = self.tried, True
        stored = self.find(connection)
        if stored is not None and stored.is_over():
            if self.version == 0:
                remove(connection, stored.key)
            stored = None
        if stored is None and self.version == 0:
            return self.make(connection)
        if stored is None:
            raise self._conflict()
        kept = Kept(stored.created_at, stored.message_count, self.version + 1)
        if stored.version == self.version:
            connection.execute(_CHANGE, (*self.times, *self.objects, stored.key))
        elif not (again and self._is_there(connection, stored.key)):
            raise self._conflict()
        return kept

    def _is_there(self, connection: sqlite3.Connection, key: int) -> bool:
        values = (*self.times, *self.objects, key, self.version + 1)
        return connection.execute(_IS_SO, values).fetchone() is not None

    def _conflict(self) -> SessionConflict:
        message = f"session {named(self.session_id)} was made, changed or removed by others"
        return SessionConflict(message)


class Delete:
    """Removes a session and its history, and says whether there was one."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.found = False

    def __call__(self, connection: sqlite3.Connection) -> bool:
        """Do it."""
        query = "SELECT key FROM sessions WHERE session_id = ?"
        row = connection.execute(query, (self.session_id,)).fetchone()
        if row is not None:
            self.found = True
            remove(connection, row[0])
        return self.found


def touch(connection: sqlite3.Connection, session: Session) -> bool:
    """Take over its times; whether it is there and the same user's."""
    done = connection.execute(
        "UPDATE sessions SET last_accessed_at = ?, expiry_at = ? WHERE session_id = ? "
        "AND user_id IS ? AND (expiry_at IS NULL OR expiry_at > ?)",
        (
            microseconds(session.last_accessed_at),
            microseconds(session.expiry_at),
            session.session_id,
            session.user_id,
            present(),
        ),
    )
    return done.rowcount == 1


def remove_expired(connection: sqlite3.Connection, keys: list[int]) -> int:
    """Remove those of `keys` whose time is still over; how many."""
    query = "SELECT 1 FROM sessions WHERE key = ? AND expiry_at <= ?"
    over = [key for key in keys if connection.execute(query, (key, present())).fetchone()]
    for key in over:
        remove(connection, key)
    return len(over)


def remove(connection: sqlite3.Connection, key: int) -> None:
    """Remove a session and its history."""
    connection.execute(
        "DELETE FROM turns WHERE place >= ? AND place < ?", (place(key), place(key + 1))
    )
    connection.execute("DELETE FROM sessions WHERE key = ?", (key,))
