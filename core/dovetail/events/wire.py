"""Events as a bus carries them: names that every bus understands, and JSON."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from dovetail.errors import EventError
from dovetail.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEAD = ".dead"
"""What is put behind a topic for the events of it that nobody could handle."""
MOST_NESTED = 200
"""How deep an event's data may be nested: whoever is given it must be able to read and copy it."""
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}
_PARTS = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}]')
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_PATTERN = re.compile(r"[A-Za-z0-9_.*-]{1,200}")


def check_topic(topic: object, *, pattern: bool = False) -> None:
    """Refuse what not every bus can have as a topic, or as a pattern of topics.

    Raises:
        EventError: saying what it may hold.
    """
    if isinstance(topic, str) and (_PATTERN if pattern else _NAME).fullmatch(topic):
        return
    message = (
        f"{topic!r:.80} is no topic: up to 200 letters, digits, dots, `_` and `-`"
        f"{', and `*` for any text' if pattern else ''}"
    )
    raise EventError(message)


def check_group(group: object) -> None:
    """Refuse what not every bus can have as the name of a group.

    Raises:
        EventError: saying what it may hold.
    """
    if not (isinstance(group, str) and _NAME.fullmatch(group)):
        message = f"{group!r:.80} is no group: up to 200 letters, digits, dots, `_` and `-`"
        raise EventError(message)


def check_key(key: object) -> None:
    """Refuse a key that is not text.

    Raises:
        EventError: it is something else.
    """
    if key is not None and not isinstance(key, str):
        message = f"the key of an event is text, not {key!r:.80}"
        raise EventError(message)


def check_handler(handler: object) -> None:
    """Refuse what cannot be called.

    Raises:
        EventError: it cannot.
    """
    if not callable(handler):
        message = f"a handler of events is an `async def` function, not {handler!r:.80}"
        raise EventError(message)


def topic_matcher(pattern: str) -> Callable[[str], object]:
    """Whether a topic is one of `pattern`, in which `*` stands for any text, dots included.

    Dead letters are for those alone who ask for them: their topics match no pattern but one that
    ends in `.dead` too.
    """
    match = re.compile(".*".join(map(re.escape, pattern.split("*")))).fullmatch
    if pattern.endswith(DEAD):
        return match
    return lambda topic: not topic.endswith(DEAD) and match(topic)


def stamped(event: Mapping[str, Any]) -> dict[str, Any]:
    """`event` with an `event_id` (UUID) and a `timestamp` (ISO 8601, UTC), unless it has them.

    Raises:
        EventError: it is no mapping, or what it has there is none.
    """
    try:
        made = dict(event)
    except (TypeError, ValueError):
        message = f"an event on a bus is a mapping such as a dict, not {type(event).__name__}"
        raise EventError(message) from None
    event_id, timestamp = made.setdefault("event_id", None), made.setdefault("timestamp", None)
    if event_id is None:
        made["event_id"] = new_id()
    elif not isinstance(event_id, str) or not 0 < len(event_id) <= 200:
        message = (
            f"the event's `event_id` is {event_id!r:.80}; it must be text of up to 200 letters"
        )
        raise EventError(message)
    if timestamp is None:
        made["timestamp"] = datetime.now(UTC).isoformat()
    else:
        moment_of(timestamp)
    return made


def moment_of(timestamp: Any) -> datetime:
    """An event's `timestamp` as an aware datetime.

    Raises:
        EventError: it is no time with a zone.
    """
    try:
        moment = timestamp if isinstance(timestamp, datetime) else datetime.fromisoformat(timestamp)
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None:
        message = (
            f"the event's `timestamp` is {timestamp!r:.80}; it must be a time with its zone, "
            "such as `2026-01-31T12:00:00+00:00`"
        )
        raise EventError(message)
    return moment.astimezone(UTC)


def encode(event: Mapping[str, Any], most_bytes: int) -> bytes:
    """`event` as JSON. Times, UUIDs, models and the like become what pydantic makes of them.

    Raises:
        EventError: something in it is nothing that JSON has, or it is longer than `most_bytes`, or
            nested deeper than `MOST_NESTED`.
    """
    try:
        text = json.dumps(event, separators=(",", ":"), allow_nan=False, default=to_jsonable_python)
    except (TypeError, ValueError, RecursionError) as error:
        message = f"the event cannot be written as JSON: {error!s:.200}"
        raise EventError(message) from error
    if len(text) > most_bytes:
        message = (
            f"the event takes {len(text):,} bytes, more than the {most_bytes:,} that "
            "`max_event_bytes` of [bus] allows; publish where its data is instead"
        )
        raise EventError(message)
    if _is_deep(text):
        message = f"the event's data is nested more than {MOST_NESTED} deep"
        raise EventError(message)
    return text.encode("ascii")


def _is_deep(text: str) -> bool:
    if text.count("[") + text.count("{") <= MOST_NESTED:
        return False
    return max(accumulate(_STEPS.get(part[0], 0) for part in _PARTS.finditer(text))) > MOST_NESTED


def decode(payload: bytes) -> dict[str, Any]:
    """What `encode` wrote.

    Raises:
        EventError: it is no JSON object.
    """
    try:
        event = json.loads(payload)
    except ValueError as error:
        message = "what came over the bus is no JSON"
        raise EventError(message) from error
    if not isinstance(event, dict):
        message = f"what came over the bus is no JSON object but {type(event).__name__}"
        raise EventError(message)
    return event
