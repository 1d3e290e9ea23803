"""Measuring side by side: samples taken in turn, their medians, and the rows these make."""

from __future__ import annotations

import asyncio
import cProfile
import gc
import pstats
import re
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    Step = Callable[[int], Awaitable[object]]
    Sample = Callable[[], Awaitable[float]]

T = TypeVar("T")

PROFILE_LINES = 16


class Goal(NamedTuple):
    """What a ratio must keep to: at most `limit`, or at least where `least` is set."""

    limit: float
    text: str
    least: bool = False

    def met(self, ratio: float) -> bool:
        """Whether `ratio` keeps to it."""
        return ratio >= self.limit if self.least else ratio <= self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; `ratio` is ours by the peer's."""

    what: str
    ours: str
    peer: str
    ratio: float
    goal: Goal | None = None

    @property
    def missed(self) -> bool:
        """Whether it has a goal and does not meet it."""
        return self.goal is not None and not self.goal.met(self.ratio)


@dataclass(slots=True)
class Subject:
    """What was measured together: how, the rows, and where the time goes if a goal is missed."""

    title: str
    about: str
    rows: list[Row]
    profiles: dict[str, str] = field(default_factory=dict)
    """Tables by their titles."""
    figures: dict[str, str] = field(default_factory=dict)
    """What a row cannot show, as Markdown by titles."""

    @property
    def missed(self) -> bool:
        """Whether a goal is missed."""
        return any(row.missed for row in self.rows)


def compare(
    what: str, ours: Sequence[float], peer: tuple[str, Sequence[float]], goal: Goal | None = None
) -> Row:
    """A row of seconds: the medians of the samples, and the ratio of these medians."""
    name, theirs = peer
    mine, other = statistics.median(ours), statistics.median(theirs)
    return Row(what, duration(mine), f"{duration(other)} {name}", mine / other, goal)


def duration(seconds: float) -> str:
    """Seconds in a unit that leaves few digits."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.3g} µs"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


async def interleave(
    samples: Mapping[str, Callable[[], Awaitable[T]]], rounds: int
) -> dict[str, list[T]]:
    """Take every sample once a round, `rounds` times, each second round backwards.

    A first round warms everything up and does not count. What was imported is frozen: the garbage
    collector shall walk through neither side's modules on the other's time.
    """
    gc.collect()
    gc.freeze()
    taken: dict[str, list[T]] = {name: [] for name in samples}
    order = list(samples)
    for number in range(rounds + 1):
        for name in order:
            gc.collect()
            sample = await samples[name]()
            if number:
                taken[name].append(sample)
        order.reverse()
    return taken


def timed(step: Step, times: int, *, items: int = 1) -> Sample:
    """A sample of `times` steps in a row: seconds for each, or for each of a step's `items`.

    A step is given a number that no other step of the run gets.
    """
    count = 0

    async def sample() -> float:
        nonlocal count
        first, count = count, count + times
        began = time.perf_counter()
        for number in range(first, count):
            await step(number)
        return (time.perf_counter() - began) / times / items

    return sample


class Cost(NamedTuple):
    """What one step costs, or one of its items; both in seconds."""

    time: float
    cpu: float
    """Of the whole process, its threads included."""


def costed(
    step: Step, times: int, *, at_once: int = 1, items: int = 1
) -> Callable[[], Awaitable[Cost]]:
    """A sample of `times` steps, `at_once` of them at any moment."""

    async def sample() -> Cost:
        numbers = iter(range(times))

        async def worker() -> None:
            for number in numbers:
                await step(number)

        cpu, began = time.process_time(), time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(at_once)))
        seconds, spent = time.perf_counter() - began, time.process_time() - cpu
        return Cost(seconds / times / items, spent / times / items)

    return sample


async def profile(step: Step, times: int) -> str:
    """The functions that take most time of `times` steps, as a table of one step's µs."""
    for number in range(times):
        await step(number)
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        for number in range(times, times * 2):
            await step(number)
    finally:
        profiler.disable()
    return top_of(pstats.Stats(profiler), times)


def top_of(stats: pstats.Stats, times: int) -> str:
    """The functions with the most time of their own, as a Markdown table of µs a step."""
    # The stubs do not know the attribute.
    rows: dict[tuple[str, int, str], tuple[int, int, float, float, Any]] = vars(stats)["stats"]
    lines = ["| own µs | with callees µs | calls | function |", "|---:|---:|---:|---|"]
    for (file, line, name), (_, calls, own, whole, _) in sorted(
        rows.items(), key=lambda item: -item[1][2]
    )[:PROFILE_LINES]:
        place = f"`{place_of(file)}:{line}` " if line else ""
        micro = 1e6 / times
        shown = re.sub(r" at 0x[0-9a-f]+", "", name)
        lines.append(
            f"| {own * micro:.2f} | {whole * micro:.2f} | {calls / times:.3g} | {place}`{shown}` |"
        )
    return "\n".join(lines)


def place_of(file: str) -> str:
    """A file by its place in its package: where that lies is the machine's affair."""
    parts = Path(file).parts
    for root in ("site-packages", "core", "src", "benchmarks"):
        if root in parts:
            return "/".join(parts[len(parts) - parts[::-1].index(root) :])
    return "/".join(parts[-2:])
