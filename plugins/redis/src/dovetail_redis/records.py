"""Sessions as they are kept: every part is JSON or a number, on one line."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from dovetail import ChatMessage, Session, SessionCorrupt, SessionError
from dovetail_redis.keys import encoded

if TYPE_CHECKING:
    from collections.abc import Sequence

GRACE = timedelta(minutes=10)
"""How much longer than its time a session is kept, unseen: a turn that began before its end may
still be going on, and what was said before must be there when it is kept."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PARTS = 10
_GRACE_MS = GRACE // timedelta(milliseconds=1)


def user_text(user_id: str | None) -> bytes:
    """A user as JSON, so that nobody is something else than a user of any name."""
    return b"null" if user_id is None else json.dumps(user_id).encode()


def arguments(session: Session) -> list[bytes | int]:
    """A session as the scripts take it: from its id to its version.

    Raises:
        SessionError: something in it is nothing that can be kept.
    """
    try:
        expires = None if session.expiry_at is None else number_of(session.expiry_at)
        return [
            encoded(session.session_id),
            user_text(session.user_id),
            number_of(session.created_at),
            number_of(session.last_accessed_at),
            b"" if expires is None else expires,
            b"" if expires is None else -(-expires // 1000) + _GRACE_MS,
            _json(session.state),
            _json(session.preferences),
            b"null" if session.auth_info is None else _json(session.auth_info),
            session.version,
        ]
    except (TypeError, ValueError, RecursionError) as error:
        message = (
            f"session {shown(session.session_id)} cannot be kept: its state, preferences and "
            f"`auth_info` must be JSON, and its times aware ({error})"
        )
        raise SessionError(message) from error


def lines(session_id: str, messages: Sequence[ChatMessage]) -> list[bytes]:
    """Messages as they are kept, one line each.

    Raises:
        SessionError: one of them is nothing that JSON can hold.
    """
    try:
        return [_line(message) for message in messages]
    except (PydanticSerializationError, UnicodeEncodeError) as error:
        message = f"a message of session {shown(session_id)} cannot be kept as JSON: {error}"
        raise SessionError(message) from error


def session_of(session_id: str, answer: bytes, last: int) -> Session:
    """The session that the script `LOAD` gave, which was asked for the `last` messages.

    Raises:
        SessionCorrupt: it cannot be understood.
    """
    parts = answer.split(b"\n", _PARTS - 1)
    user_id: str | None = None
    try:
        if len(parts) != _PARTS:
            raise ValueError("its keys hold something else than a session")
        user, created, accessed, expires, state, preferences, auth, version, count, said = parts
        user_id = _typed(json.loads(user), (str, type(None)))
        return Session(
            session_id=session_id,
            user_id=user_id,
            created_at=time_of(created),
            last_accessed_at=time_of(accessed),
            expiry_at=time_of(expires) if expires else None,
            state=_typed(json.loads(state), dict),
            preferences=_typed(json.loads(preferences), dict),
            auth_info=_typed(json.loads(auth), (dict, type(None))),
            version=int(version),
            history=_history_of(said, int(count), last),
            message_count=max(int(count), 0),
        )
    except ValidationError as error:
        raise corrupt(session_id, _first(error), user_id) from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise corrupt(session_id, str(error), user_id) from error


def corrupt(session_id: str, why: str, user_id: str | None = None) -> SessionCorrupt:
    """The error for a session that cannot be understood."""
    message = (
        f"what Redis has of session {shown(session_id)} cannot be understood: {why}; it was left "
        f"as it is, and `dovetail sessions delete` with its name removes it"
    )
    return SessionCorrupt(message, user_id=user_id)


def shown(session_id: str) -> str:
    """An id for a message: short, and nothing that a terminal could stumble over."""
    text = session_id if len(session_id) <= 80 else f"{session_id[:60]}… ({len(session_id)})"
    return f"`{text}`" if text.isprintable() else ascii(text)


def number_of(time: datetime) -> int:
    """Microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND


def time_of(number: bytes) -> datetime:
    """The time that many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=int(number))


def copy_of(session: Session) -> Session:
    """A copy that shares nothing that can change."""
    return replace(
        session,
        state=deepcopy(session.state),
        preferences=deepcopy(session.preferences),
        auth_info=deepcopy(session.auth_info),
        history=list(session.history),
    )


def _json(value: dict[str, Any]) -> bytes:
    # In ASCII, so that also half a surrogate pair comes back as it was.
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode() if value else b"{}"


def _line(message: ChatMessage) -> bytes:
    # What is empty is left out, which is two fifths of the server's memory. Not of a message of
    # parts: each part says by a field with a default of which kind it is.
    plain = isinstance(message.content, str)
    return message.model_dump_json(exclude_defaults=plain).encode()


@cache
def _adapter() -> TypeAdapter[list[ChatMessage]]:
    return TypeAdapter(list[ChatMessage])  # here, since it takes longer than importing the rest


def _history_of(said: bytes, count: int, last: int) -> list[ChatMessage]:
    if count < 0 and last:
        raise ValueError("its messages are no list")
    messages = _adapter().validate_json(said) if said != b"[]" else []
    wanted = max(min(last, count), 0)
    if len(messages) != wanted:  # a row that is a part of one, or several
        raise ValueError(f"there are {len(messages)} messages where {wanted} are counted")
    return messages


def _typed(value: Any, kind: type | tuple[type, ...]) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"a part of it is a {type(value).__name__}")  # noqa: TRY004 - of its data
    return value


def _first(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(step) for step in first["loc"])
    return f"of the messages that were read, counted from 0, {place or 'all'}: {first['msg']}"
