"""What an engine is given, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from dovetail import ExecutionContext


@dataclass(frozen=True, slots=True)
class ScriptLimits:
    """What one script may use; None leaves a limit as the config has it."""

    time: float | None = None
    """Seconds of the script's own time; what it waits for host functions does not count."""
    total: float | None = None
    """Seconds in all, waiting for a worker and for host functions included."""
    memory: int | None = None
    """Megabytes."""
    recursion: int | None = None
    """How deep its calls may go."""
    output: int | None = None
    """Characters: of all it prints, of the arguments of one call, of all it leaves."""
    calls: int | None = None
    """How many calls of host functions it may make."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The same, all of them known."""

    time: float
    total: float
    memory: int
    recursion: int
    output: int
    calls: int

    def tightened(self, wanted: ScriptLimits | None) -> Limits:
        """These, with what `wanted` has lower in place; nothing becomes higher."""
        if wanted is None:
            return self
        lower: dict[str, Any] = {}
        for known in fields(self):
            mine, other = getattr(self, known.name), getattr(wanted, known.name)
            lower[known.name] = mine if other is None else min(mine, max(other, 0))
        return Limits(**lower)


@dataclass(slots=True)
class ScriptExecutionContext:
    """What one execution of a script is given.

    `inputs` are variables that the script begins with, by name: JSON data or datetimes, of which
    it gets its own copies. `functions` are host functions it may call beside those of plugins, and
    instead of one of the same name: best marked `@script_function`. `now` and `seed` fix the time
    and the dice. `limits` may only lower what the config sets.
    """

    name: str
    """What errors call the script: its module's name."""
    context: ExecutionContext | None = None
    """The work it belongs to; current while its host functions run."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    now: datetime | None = None
    seed: int | None = None
    limits: ScriptLimits | None = None


@dataclass(frozen=True, slots=True)
class ScriptExecutionResult:
    """What a script left when it came to its end."""

    variables: Mapping[str, Any] = field(default_factory=dict)
    """What it set at top level, by name: JSON data. Names that begin with an underscore and inputs
    it did not change are left out."""
    output: str = ""
    """What it printed."""
    value: Any = None
    """The value of its last line, if that is an expression and its value JSON data."""
    seconds: float = 0.0
    """The script's own time."""
    calls: Mapping[str, int] = field(default_factory=dict)
    """How often it called which host function."""
    skipped: tuple[str, ...] = ()
    """Variables left out because they are no JSON data: functions, sets, modules, …"""
