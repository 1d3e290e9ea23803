"""The calls that one script makes of host functions."""

from __future__ import annotations

import difflib
import inspect
from typing import TYPE_CHECKING, Any, Literal

from dovetail import DovetailError, redact
from dovetail_scripts.data import Allowance, NotData, TooLong, copied
from dovetail_scripts.errors import ScriptOutputTooLong, ScriptTooManyCalls
from dovetail_scripts.functions import ArgumentError, Bound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dovetail_scripts.models import Limits

    Kind = Literal["NameError", "RuntimeError", "TypeError", "ValueError"]

BUILT_IN_CALLS = 1_000
"""How often a script may ask for the time and for dice, which are not counted as calls."""
_LONGEST = 500


class Refused(Exception):
    """A call did not succeed. The script gets an exception of the class named `kind`."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class HostCalls:
    """Who may be called, how often that was done, and what went wrong."""

    def __init__(
        self,
        built_in: Mapping[str, Bound],
        offered: Mapping[str, Bound],
        given: Mapping[str, Callable[..., Any]],
        limits: Limits,
    ) -> None:
        self._built_in = built_in
        self._offered = offered
        self._given = given
        self._limits = limits
        self._charged = 0
        self.counts: dict[str, int] = {}
        self.failure: Refused | None = None
        """The latest call that did not succeed."""

    def knows(self, name: str) -> bool:
        """Whether there is such a function."""
        return name in self._given or name in self._offered or name in self._built_in

    def names(self) -> list[str]:
        """All there are."""
        return [*{**self._given, **self._offered, **self._built_in}]

    def unknown(self, name: str) -> str:
        """What to say of a name that nothing has."""
        near = difflib.get_close_matches(name, self.names(), n=1)
        guess = f"; did you mean `{near[0]}`?" if near else ""
        return f"name '{name}' is not defined{guess}"

    async def call(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call one and give a copy of what it gives.

        Raises:
            Refused: it cannot be called so, or failed: the script's affair.
            ScriptTooManyCalls: the script is to be stopped.
            ScriptOutputTooLong: as above, because of what it handed over.
        """
        bound = self._counted(name)
        try:
            allowance = Allowance(self._limits.output)
            handed = copied([list(args), dict(kwargs)], allowance)
        except NotData as error:
            raise self._refused("TypeError", f"{name}() was handed {error}") from None
        except TooLong as error:
            message = f"{name}() was handed more than {error}: see `output_limit`"
            raise ScriptOutputTooLong(message) from None
        try:
            value = bound.call(*handed)
            if inspect.isawaitable(value):
                value = await value
        except ArgumentError as error:
            raise self._refused("TypeError", str(error)) from None
        except Exception as error:  # whatever a host function raises is told to the script
            raise self._refused("RuntimeError", _told(name, error)) from error
        return self._given_back(name, value)

    def _counted(self, name: str) -> Bound:
        self.counts[name] = self.counts.get(name, 0) + 1
        if name in self._given:
            bound = Bound(self._given[name])
        elif name in self._offered:
            bound = self._offered[name]
        else:
            if sum(self.counts.get(each, 0) for each in self._built_in) > BUILT_IN_CALLS:
                raise ScriptTooManyCalls(
                    f"more than {BUILT_IN_CALLS:,} calls of built-in functions"
                )
            return self._built_in[name]
        self._charged += 1
        if self._charged > self._limits.calls:
            message = f"more than {self._limits.calls:,} calls of host functions: see `max_calls`"
            raise ScriptTooManyCalls(message)
        return bound

    def _given_back(self, name: str, value: object) -> Any:
        try:
            return copied(value, Allowance(self._limits.output))
        except NotData as error:
            message = f"{name}() gave {error}, which a script cannot get"
            raise self._refused("TypeError", message) from None
        except TooLong as error:
            message = f"{name}() gave more than {error}: see `output_limit`"
            raise self._refused("ValueError", message) from None

    def _refused(self, kind: Kind, message: str) -> Refused:
        self.failure = Refused(kind, message)
        return self.failure


def _told(name: str, error: Exception) -> str:
    """What a script may know of an error: ours are for people, others name their class only."""
    if isinstance(error, DovetailError):
        return f"{name}() failed: {redact(str(error))[:_LONGEST]}"
    return f"{name}() failed: {type(error).__name__}"
