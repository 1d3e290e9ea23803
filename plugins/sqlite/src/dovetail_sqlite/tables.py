"""The tables of the sessions."""

from dovetail_sqlite.migrations import Schema

_FIRST = (
    # Times are microseconds since 1970 in UTC. There is no index on `expiry_at`: each turn would
    # have to change it, and clean-up reads a million rows in a moment.
    """
    CREATE TABLE sessions (
        key INTEGER PRIMARY KEY,
        session_id TEXT NOT NULL UNIQUE,
        user_id TEXT,
        created_at INTEGER NOT NULL,
        last_accessed_at INTEGER NOT NULL,
        expiry_at INTEGER,
        message_count INTEGER NOT NULL,
        version INTEGER NOT NULL,
        state TEXT NOT NULL,
        preferences TEXT NOT NULL,
        auth_info TEXT
    )
    """,
    "CREATE INDEX sessions_of_users ON sessions (user_id, session_id)",
    # One row for each append, with its messages as a JSON array. `place` is the session's key and
    # the number of messages before these in one integer (see `place`), so that a session's turns
    # lie next to each other in order, without another index. `batch` is a random number that tells
    # the append apart from any other.
    """
    CREATE TABLE turns (
        place INTEGER PRIMARY KEY,
        batch INTEGER NOT NULL,
        messages TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE leases (
        session_id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        ends_at INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
)

SESSIONS = Schema("sessions", (_FIRST,))


_POSITIONS = 1 << 32


def place(key: int, position: int = 0) -> int:
    """Where in `turns` the message at `position` of a session is kept.

    Raises:
        ValueError: there is no such position; it would be in another session.
    """
    if 0 <= position < _POSITIONS:
        return key * _POSITIONS + position
    message = f"a session cannot have {position} messages"
    raise ValueError(message)


def position(place: int) -> int:
    """How many messages of its session are before the one at `place`."""
    return place % _POSITIONS
