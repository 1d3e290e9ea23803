"""What can become of a script.

::

    ScriptError                  a script did not come to its end
    ├── ScriptSyntaxError        it is not Python, or Python that the engine does not know
    ├── ScriptFailed             it raised
    │   └── ScriptCallFailed     it raised because a host function did, which is the cause
    ├── ScriptLimitReached       it went past a limit and was stopped
    │   ├── ScriptTimeout        of its own time, or of the time in all
    │   ├── ScriptMemory         of memory
    │   ├── ScriptRecursion      of calls within calls
    │   ├── ScriptOutputTooLong  of what it may print, hand to a host function, or leave
    │   └── ScriptTooManyCalls   of calls of host functions
    ├── ScriptCrashed            its worker died
    └── ScriptBusy               too many scripts wait for a worker
"""

from __future__ import annotations

from typing import NamedTuple

from dovetail import DovetailError

_LONGEST_LINE = 200
_LONGEST_MESSAGE = 500


class Place(NamedTuple):
    """Where in a script."""

    module: str = ""
    line: int | None = None
    source_line: str = ""


class ScriptError(DovetailError):
    """A script did not come to its end.

    Attributes:
        module: the script's name.
        line: the number of the line, counted from 1; None where it is not known.
        source_line: that line's text, without the space around it; "" where it is not known.
        output: what it had printed.
    """

    def __init__(self, message: str, place: Place = Place(), output: str = "") -> None:  # noqa: B008 - it does not change
        super().__init__(message)
        self.message = message
        self.module, self.line, self.source_line = place
        self.output = output

    @property
    def where(self) -> str:
        """The place for a person, such as `mood, line 3`."""
        return self.module if self.line is None else f"{self.module}, line {self.line}"

    def __str__(self) -> str:
        """The place, what happened there, and the line."""
        text = f"{self.where}: {self.message}" if self.module else self.message
        return f"{text}\n    {self.source_line}" if self.source_line else text

    def __reduce__(self) -> tuple[type[ScriptError], tuple[str, Place, str]]:
        """Copied and pickled by what it was made of, and not by its text."""
        place = Place(self.module, self.line, self.source_line)
        return type(self), (self.message, place, self.output)


class ScriptSyntaxError(ScriptError):
    """It is not Python, or Python that the engine does not know."""


class ScriptFailed(ScriptError):
    """It raised and did not catch."""


class ScriptCallFailed(ScriptFailed):
    """A host function raised and the script did not catch it; `__cause__` is what it raised."""


class ScriptLimitReached(ScriptError):
    """It went past a limit and was stopped; it had no chance to catch that."""


class ScriptTimeout(ScriptLimitReached):
    """It took longer than `time_limit` by itself, or than `total_limit` with all it waited for."""


class ScriptMemory(ScriptLimitReached):
    """It wanted more than `memory_limit`."""


class ScriptRecursion(ScriptLimitReached):
    """Its calls went deeper than `recursion_limit`; a script may catch this one."""


class ScriptOutputTooLong(ScriptLimitReached):
    """It printed, handed over or left more than `output_limit` characters."""


class ScriptTooManyCalls(ScriptLimitReached):
    """It called host functions more than `max_calls` times."""


class ScriptCrashed(ScriptError):
    """Its worker died under it."""


class ScriptBusy(ScriptError):
    """As many scripts as `queue` allows are waiting for a worker already."""


def place_in(source: str, module: str, line: int | None) -> Place:
    """The place of a line of `source`; no line if it has none of that number."""
    if line is None or line < 1:
        return Place(module)
    lines = source.splitlines()[line - 1 : line]
    text = "".join(c for c in lines[0] if c.isprintable()).strip() if lines else ""
    return Place(module, line, text[:_LONGEST_LINE])


def shown(text: str) -> str:
    """What a script's own words look like in a message: one line of bounded length."""
    cut = text[:_LONGEST_MESSAGE]
    plain = "".join(c if c.isprintable() else " " for c in cut)
    return plain if len(cut) == len(text) else f"{plain} …"
