"""What modules keep from one turn to the next."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from dovetail_modules.errors import StateTooLarge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dovetail import Session
    from dovetail_modules.settings import ModulesSettings

KEY = "modules"
"""The key of a session's state under which all of it stands."""


class Left(NamedTuple):
    """What a module left when it last worked."""

    text: str
    variables: Mapping[str, Any]


class ConversationState:
    """What modules keep of a conversation, or of a user: JSON data within limits.

    * `values`: what scripts set by `set_state`;
    * `left`: the texts and variables of POST_RESPONSE modules, for the next turn;
    * `cached`: what modules came to whose cache policy is `session`;
    * `turns`: how many there were, if any module asks.
    """

    def __init__(self, data: object = None, settings: ModulesSettings | None = None) -> None:
        """`data` is what `to_dict` gave; what is no such thing is as if there were nothing."""
        self._data: dict[str, Any] = data if isinstance(data, dict) else {}
        self._most_value = settings.state_value_limit if settings else 20_000
        self._most = settings.state_limit if settings else 200_000
        self._size: int | None = None
        self.origin: Session | None = None
        """The session it was read from, if that is nobody else's to save."""
        self.changed: dict[tuple[str, str], None] = {}
        """What was changed, as pairs of part and key."""

    def get(self, key: str, default: Any = None) -> Any:
        """A value."""
        return self._part("values").get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Keep a value; None takes it out.

        Raises:
            StateTooLarge: there is no room for it.
        """
        self._put("values", key, value)

    def left(self, module: str) -> Left | None:
        """What a module left."""
        found = self._part("left").get(module)
        if not isinstance(found, dict):
            return None
        variables = found.get("variables")
        variables = variables if isinstance(variables, dict) else {}
        return Left(str(found.get("text", "")), variables)

    def leave(self, module: str, text: str, variables: Mapping[str, Any]) -> None:
        """Note what a module leaves.

        Raises:
            StateTooLarge: there is no room for it.
        """
        self._put("left", module, {"text": text, "variables": dict(variables)})

    def cached(self, module: str, digest: str) -> Left | None:
        """What a module came to before, if it was the same then."""
        found = self._part("cached").get(module)
        if not isinstance(found, dict) or found.get("digest") != digest:
            return None
        return Left(str(found.get("text", "")), found.get("variables") or {})

    def cache(self, module: str, digest: str, what: Left) -> None:
        """Keep what a module came to.

        Raises:
            StateTooLarge: there is no room for it.
        """
        entry = {"digest": digest, "text": what.text, "variables": dict(what.variables)}
        self._put("cached", module, entry)

    @property
    def turns(self) -> int:
        """How many turns were counted."""
        found = self._part("turns").get("count")
        return found if isinstance(found, int) else 0

    def count_turn(self) -> None:
        """One more turn."""
        self._put("turns", "count", self.turns + 1)

    def to_dict(self) -> dict[str, Any]:
        """All of it."""
        return self._data

    def _part(self, name: str) -> dict[str, Any]:
        found = self._data.get(name)
        return found if isinstance(found, dict) else {}

    def _put(self, part: str, key: str, value: Any) -> None:
        known = self._part(part)
        if (known.get(key) == value and type(known.get(key)) is type(value)) or (
            value is None and key not in known
        ):
            return
        size = 0 if value is None else _length(key) + _length(value)
        if size > self._most_value:
            message = f"`{key}` would take {size:,} characters; {self._most_value:,} may be kept"
            raise StateTooLarge(f"{message}: see `state_value_limit`")
        if self._size is None:
            self._size = _length(self._data)
        taken = _length(key) + _length(known[key]) if key in known else 0
        if self._size + size - taken > self._most and size > taken:
            message = f"`{key}` has no room: {self._most:,} characters are kept in all"
            raise StateTooLarge(f"{message}: see `state_limit`")
        self._size += size - taken
        if value is None:
            del known[key]
        else:
            self._data.setdefault(part, known)
            if self._data[part] is not known:
                self._data[part] = known
            known[key] = value
        self.changed[part, key] = None


def bring_to(data: object, state: ConversationState) -> dict[str, Any]:
    """What `state` changed, in what somebody else may have changed meanwhile."""
    mine, result = state.to_dict(), dict(data) if isinstance(data, dict) else {}
    for part, key in state.changed:
        known = result.get(part)
        known = dict(known) if isinstance(known, dict) else {}
        if key in mine.get(part, {}):
            known[key] = mine[part][key]
        else:
            known.pop(key, None)
        result[part] = known
    return result


class TimedCache:
    """What modules came to whose cache policy is `ttl`; gone with the process."""

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._kept: dict[tuple[str, ...], tuple[float, Left]] = {}

    def get(self, key: tuple[str, ...]) -> Left | None:
        """What is kept, if its time is not over."""
        found = self._kept.get(key)
        if found is None:
            return None
        if found[0] <= time.monotonic():
            del self._kept[key]
            return None
        return found[1]

    def put(self, key: tuple[str, ...], what: Left, seconds: float) -> None:
        """Keep it so long; the oldest make room."""
        self._kept.pop(key, None)
        self._kept[key] = (time.monotonic() + seconds, what)
        while len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]


def _length(value: object) -> int:
    """Characters as JSON.

    Raises:
        StateTooLarge: it is none.
    """
    try:
        return len(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise StateTooLarge("only JSON data can be kept") from error
