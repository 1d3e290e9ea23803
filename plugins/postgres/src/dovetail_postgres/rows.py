"""Between a session and what its rows hold."""

from __future__ import annotations

import json
import re
from datetime import UTC
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from dovetail import ChatMessage, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

WRAPPED = "dovetail:json"
"""The key of an object that is kept in jsonb as text."""

# What jsonb refuses or does not give back as it was: NUL, halves of surrogate pairs, numbers of
# type float that it would write out as integers, the sign of zero; and our own key.
_UNFIT = re.compile(rf"\\u0000|[\ud800-\udfff]|[0-9]e\+|-0\.0|{WRAPPED}")
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_messages = TypeAdapter(list[ChatMessage])


class UnreadableError(Exception):
    """A row holds what this code did not write."""


class UnwritableError(Exception):
    """Something cannot be written into a row."""


def to_jsonb(value: object) -> str:
    """`value` as JSON that jsonb can hold.

    Raises:
        UnwritableError: it cannot be JSON.
    """
    try:
        text = _encode(value)
        return json.dumps({WRAPPED: json.dumps(value)}) if _UNFIT.search(text) else text
    except (TypeError, ValueError, RecursionError) as error:
        raise UnwritableError(f"holds what JSON cannot: {error}") from error


def from_jsonb(text: str, column: str) -> dict[str, Any]:
    """The object that was given to `to_jsonb`.

    Raises:
        UnreadableError: there is no object.
    """
    if text == "{}":
        return {}
    try:
        value = json.loads(text)
        if isinstance(value, dict) and WRAPPED in value:
            value = json.loads(value[WRAPPED])
    except (TypeError, ValueError, RecursionError) as error:
        raise UnreadableError(f"`{column}` holds no JSON: {error}") from error
    if not isinstance(value, dict):
        raise UnreadableError(f"`{column}` holds {type(value).__name__}, not an object")
    return value


def readable(text: str, column: str) -> dict[str, Any]:
    """The object, or an empty one if there is none."""
    try:
        return from_jsonb(text, column)
    except UnreadableError:
        return {}


def to_text(message: ChatMessage) -> str:
    """A message as JSON.

    What is as by default is left out, which makes it a quarter quicker to read; but parts of a
    content are told apart by what is always the same in each.
    """
    try:
        return message.model_dump_json(exclude_defaults=isinstance(message.content, str))
    except PydanticSerializationError:  # half a surrogate pair, say in the id of a tool call
        return json.dumps(message.model_dump())


def to_history(texts: Sequence[str], count: int, last: int | None) -> list[ChatMessage]:
    """The messages of a tail: the last `last` (None: all) of `count`.

    Raises:
        UnreadableError: one is missing or is no message.
    """
    due = count if last is None else min(last, count)
    if len(texts) != due:
        raise UnreadableError(f"{len(texts)} of its last {due} messages are there")
    try:
        found = _messages.validate_json(f"[{','.join(texts)}]")
        if len(found) == len(texts):
            return found
    except ValidationError:
        pass  # find out which it is
    return [_message(text, count - due + place) for place, text in enumerate(texts, 1)]


def _message(text: str, place: int) -> ChatMessage:
    try:
        return ChatMessage.model_validate_json(text)
    except ValidationError as error:
        try:
            return ChatMessage.model_validate(json.loads(text))  # see `to_text`
        except (ValueError, RecursionError):
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(key) for key in first["loc"])
            what = f"`{where}`: {first['msg']}" if where else first["msg"]
            raise UnreadableError(f"message {place} cannot be read ({what})") from error


def to_session(row: Any, history: list[ChatMessage], read: Callable[[str, str], Any]) -> Session:
    """The session of a row that has the columns of `statements`; `read` is for its objects."""
    auth_info = row[7]
    return Session(
        session_id=row[0],
        user_id=row[1],
        created_at=_aware(row[2]),
        last_accessed_at=_aware(row[3]),
        expiry_at=None if row[4] is None else _aware(row[4]),
        state=read(row[5], "state"),
        preferences=read(row[6], "preferences"),
        auth_info=None if auth_info is None else read(auth_info, "auth_info"),
        version=row[8],
        message_count=row[9],
        history=history,
    )


def _aware(time: datetime) -> datetime:
    """The last moment there is stands as `infinity` in the database, and comes back naive."""
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
