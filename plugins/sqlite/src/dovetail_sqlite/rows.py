"""Sessions as rows, and rows as sessions."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from dovetail import ChatMessage, Session, SessionCorrupt, SessionError
from dovetail_sqlite.tables import position

if TYPE_CHECKING:
    from collections.abc import Sequence

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MESSAGES = TypeAdapter(list[ChatMessage])
_TURNS = TypeAdapter(list[list[ChatMessage]])

# As blobs: a text that is no UTF-8 any more would fail the whole query.
COLUMNS = (
    "key, CAST(session_id AS BLOB), CAST(user_id AS BLOB), created_at, last_accessed_at, "
    "expiry_at, message_count, version, CAST(state AS BLOB), CAST(preferences AS BLOB), "
    "CAST(auth_info AS BLOB)"
)


class Head(NamedTuple):
    """A session's row, in the order of `COLUMNS`, as it was found: it may be anything."""

    key: Any
    session_id: Any
    user_id: Any
    created_at: Any
    last_accessed_at: Any
    expiry_at: Any
    message_count: Any
    version: Any
    state: Any
    preferences: Any
    auth_info: Any

    def session(self) -> Session:
        """The session, without its history.

        Raises:
            ValueError: something in it is not what was written.
        """
        return Session(
            session_id=self.session_id.decode(),
            user_id=_text(self.user_id),
            created_at=_time("created_at", self.created_at),
            last_accessed_at=_time("last_accessed_at", self.last_accessed_at),
            expiry_at=None if self.expiry_at is None else _time("expiry_at", self.expiry_at),
            state=_object("state", self.state),
            preferences=_object("preferences", self.preferences),
            auth_info=None if self.auth_info is None else _object("auth_info", self.auth_info),
            version=_number("version", self.version),
            message_count=_number("message_count", self.message_count),
        )

    def remains(self) -> Session:
        """What can be read of it, for a list; nothing can be set on the ground of it."""
        session = Session(session_id=self.session_id.decode(errors="replace"))
        session.user_id = _text(self.user_id, errors="replace")
        session.created_at = session.last_accessed_at = _EPOCH
        if isinstance(self.message_count, int):
            session.message_count = self.message_count
        return session


class TurnRow(NamedTuple):
    """What one append kept."""

    place: int
    batch: int
    messages: bytes


def microseconds(moment: datetime | None) -> int | None:
    """A time as it is kept."""
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    """The time that is kept so."""
    return _EPOCH + timedelta(microseconds=microseconds)


def dump_messages(session_id: str, messages: Sequence[ChatMessage]) -> bytes:
    """Messages as a JSON array.

    Raises:
        SessionError: one of them cannot be written as JSON.
    """
    try:
        return _MESSAGES.dump_json(list(messages))
    except ValueError as error:  # half of a surrogate pair, in a field that lets it pass
        message = f"a message of session {named(session_id)} cannot be written as JSON: {error}"
        raise SessionError(message) from error


def dump_objects(session: Session) -> tuple[str, str, str | None]:
    """State, preferences and `auth_info` as JSON.

    The standard library's: it writes any text, also one that no UTF-8 can hold, and reads it back.

    Raises:
        SessionError: something in them is nothing that JSON has.
    """
    auth_info = session.auth_info
    try:
        return (
            json.dumps(session.state) if session.state else "{}",
            json.dumps(session.preferences) if session.preferences else "{}",
            None if auth_info is None else json.dumps(auth_info),
        )
    except (TypeError, ValueError, RecursionError) as error:
        message = (
            f"state, preferences or auth_info of session {named(session.session_id)} cannot be "
            f"kept: {error}; put in only what JSON has"
        )
        raise SessionError(message) from error


def read_turns(rows: Sequence[TurnRow], first: int, end: int) -> list[ChatMessage]:
    """The messages of `rows`, which must be all from `first` or before it up to `end`.

    Raises:
        ValueError: some of them are missing or are not what was written.
    """
    try:
        turns = _TURNS.validate_json(b"[" + b",".join(row.messages for row in rows) + b"]")
    except ValidationError:
        turns = [_one(row) for row in rows]  # to say which
    history: list[ChatMessage] = []
    expected = min(position(rows[0].place), first) if rows else first
    for row, messages in zip(rows, turns, strict=True):
        _check_follows(position(row.place), expected)
        history += messages
        expected += len(messages)
    _check_follows(end, expected)
    return history


def corrupt(session_id: str, user_id: Any, error: ValueError) -> SessionCorrupt:
    """The error that says what is wrong with a session and how to be rid of it."""
    message = (
        f"session {named(session_id)} is damaged: {error}; put a backup of the database in place, "
        f"or remove the session: dovetail sessions delete {named(session_id, quote='')}"
    )
    return SessionCorrupt(message, user_id=_text(user_id, errors="replace"))


def named(session_id: str, quote: str = "`") -> str:
    """A session's id for a message: one that is very long is cut, and any can be printed."""
    shown = session_id[:200].encode(errors="backslashreplace").decode()
    more = "…" if len(session_id) > 200 else ""
    return f"{quote}{shown}{more}{quote}"


def _one(row: TurnRow) -> list[ChatMessage]:
    number = position(row.place) + 1
    try:
        return _MESSAGES.validate_json(row.messages)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        where = "".join(f".{part}" for part in first["loc"][1:])
        if first["loc"]:
            number += int(first["loc"][0])
        message = f"message {number}{where} cannot be read: {first['msg']}"
        raise ValueError(message) from error


def _check_follows(found: int, expected: int) -> None:
    if found > expected:
        message = f"messages {expected + 1} to {found} are missing"
        raise ValueError(message)
    if found < expected:
        message = f"there are more than the {found} messages that were counted"
        raise ValueError(message)


def _text(value: Any, errors: str = "strict") -> str | None:
    return value.decode(errors=errors) if isinstance(value, bytes) else None


def _number(name: str, value: Any) -> int:
    if isinstance(value, int):
        return value
    message = f"its `{name}` is no number"
    raise ValueError(message)


def _time(name: str, value: Any) -> datetime:
    try:
        return moment(_number(name, value))
    except OverflowError as error:
        message = f"its `{name}` is no time"
        raise ValueError(message) from error


def _object(name: str, value: Any) -> dict[str, Any]:
    if value == b"{}":
        return {}
    try:
        found = json.loads(value)
    except (TypeError, ValueError, RecursionError) as error:
        message = f"its `{name}` cannot be read as JSON ({error})"
        raise ValueError(message) from error
    if isinstance(found, dict):
        return found
    message = f"its `{name}` is no JSON object"
    raise ValueError(message)
