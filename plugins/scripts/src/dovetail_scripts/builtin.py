"""The functions every script has: the time, and dice that can be loaded."""

from __future__ import annotations

import random as dice
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dovetail_scripts.functions import Bound, script_function

if TYPE_CHECKING:
    from collections.abc import Mapping


class Builtins:
    """Those of one script."""

    def __init__(self, now: datetime | None, seed: int | None) -> None:
        self._now = now
        self._seed = seed

    @cached_property
    def _dice(self) -> dice.Random:
        return dice.Random(self._seed)  # noqa: S311 - for moods and greetings, not for keys

    @script_function
    def now(self) -> datetime:
        """The time, aware; UTC unless the host set another."""
        return self._now or datetime.now(UTC)

    @script_function
    def random(self) -> float:
        """A number from 0 to below 1."""
        return self._dice.random()

    @script_function
    def randint(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both possible."""
        return self._dice.randint(low, high)

    @script_function
    def choice(self, options: list[Any]) -> Any:
        """One of a list."""
        return self._dice.choice(options)

    def functions(self) -> Mapping[str, Bound]:
        """All of them by name."""
        return {name: Bound(getattr(self, name)) for name in BUILT_IN}


BUILT_IN = ("now", "random", "randint", "choice")
