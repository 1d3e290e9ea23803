"""The right to a session's turn, for some time; run in the database's thread that writes.

The clock is the machine's: all who can share a file have the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail_sqlite.reading import present

if TYPE_CHECKING:
    import sqlite3


def acquire(connection: sqlite3.Connection, session_id: str, owner: str, seconds: float) -> bool:
    """Take or renew a lease; False while another's runs."""
    now = present()
    done = connection.execute(
        "INSERT INTO leases VALUES (?, ?, ?) ON CONFLICT (session_id) DO UPDATE "
        "SET owner = excluded.owner, ends_at = excluded.ends_at "
        "WHERE owner = excluded.owner OR ends_at <= ?",
        (session_id, owner, now + int(seconds * 1_000_000), now),
    )
    return done.rowcount == 1


def release(connection: sqlite3.Connection, session_id: str, owner: str) -> None:
    """Give a lease back, if it is the owner's."""
    connection.execute("DELETE FROM leases WHERE session_id = ? AND owner = ?", (session_id, owner))


def remove_ended(connection: sqlite3.Connection) -> None:
    """Remove those that ended by themselves."""
    connection.execute("DELETE FROM leases WHERE ends_at <= ?", (present(),))
