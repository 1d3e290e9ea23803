"""What an operator may write in `[plugins.scripts]`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dovetail import Duration, Settings
from dovetail_scripts.models import Limits


class ScriptSettings(Settings):
    """How scripts are run, and within which limits."""

    engine: Literal["monty", "restricted"] = Field(
        default="monty",
        description="`monty` is a sandbox. `restricted` is CPython behind RestrictedPython: "
        "a convenience, no security boundary.",
    )
    time_limit: Duration = Field(
        default=2.0,
        gt=0,
        description="A script's own time; waiting for host functions does not count.",
    )
    total_limit: Duration = Field(
        default=60.0, gt=0, description="The time a script may take with all it waits for."
    )
    memory_limit: int = Field(default=32, ge=1, le=65536, description="Megabytes a script may use.")
    recursion_limit: int = Field(
        default=200, ge=10, le=1000, description="How deep a script's calls may go."
    )
    output_limit: int = Field(
        default=100_000,
        ge=1,
        le=100_000_000,
        description="Characters: of all a script prints, of what it hands to a host function or "
        "gets from one, of all the variables it leaves.",
    )
    max_calls: int = Field(
        default=100, ge=0, le=100_000, description="Calls of host functions a script may make."
    )
    workers: int = Field(
        default=32,
        ge=1,
        le=256,
        description="Scripts under way at the same time, each in a process of its own, which is "
        "started when it is needed. Most may wait for host functions: as many compute as the "
        "machine has cores, but one.",
    )
    queue: int = Field(
        default=100, ge=0, le=100_000, description="Scripts that may wait for a worker."
    )
    seed: int | None = Field(
        default=None, description="Makes `random()` and its like give the same each time."
    )

    @property
    def limits(self) -> Limits:
        """The limits together."""
        return Limits(
            time=self.time_limit,
            total=self.total_limit,
            memory=self.memory_limit,
            recursion=self.recursion_limit,
            output=self.output_limit,
            calls=self.max_calls,
        )
