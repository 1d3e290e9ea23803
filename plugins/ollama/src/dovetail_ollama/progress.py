"""Showing a pull: a bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from dovetail_ollama.pull import PullState

BAR = 24
"""Characters of the bar."""
EVERY = 0.1
"""Seconds between two pictures of the bar."""
STEP = 10
"""Per cent between two plain lines."""
# What could move a terminal's cursor or worse: the words are the server's.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Progress:
    """Writes the states of a pull to `stream`, on which `width` characters fit in a line.

    Without a `width` it writes plain lines.
    """

    def __init__(
        self, stream: TextIO, width: int | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._width = width
        self._clock = clock
        self._what = ""
        self._shown = ""
        self._drawn = -math.inf
        self._percent = -1
        self._since = 0.0
        self._from = 0

    def show(self, state: PullState) -> None:
        """Show what is new in `state`."""
        what = state.digest or state.status
        if what != self._what:
            self.end()
            self._what, self._percent = what, -1
            self._since, self._from = self._clock(), state.completed
            self._drawn = -math.inf
        if self._width is None:
            self._plain(state)
        else:
            self._bar(state, self._width)

    def end(self) -> None:
        """End the line that the bar stands in."""
        if self._shown:
            self._write("\n")
            self._shown = ""

    def _plain(self, state: PullState) -> None:
        percent = percent_of(state)
        step = percent - percent % STEP
        if step <= self._percent:
            return
        self._percent = step
        size = f": {step} % of {size_text(state.total)}" if state.total is not None else ""
        self._write(f"{clean(state.status)}{size}\n")

    def _bar(self, state: PullState, width: int) -> None:
        now, percent = self._clock(), percent_of(state)
        if now - self._drawn < EVERY and percent < 100:
            return
        self._drawn = now
        text = clean(state.status)
        if state.total is not None:
            filled = BAR * percent // 100
            bar = "#" * filled + "-" * (BAR - filled)
            text += f"  [{bar}] {percent:3} %  {size_text(state.total)}{self._speed(state, now)}"
        text = text[: width - 1]
        self._write("\r" + text.ljust(len(self._shown)))
        self._shown = text

    def _speed(self, state: PullState, now: float) -> str:
        came, took = state.completed - self._from, now - self._since
        if came <= 0 or took <= 0 or state.total is None:
            return ""
        left = max(state.total - state.completed, 0) * took / came
        return f"  {size_text(int(came / took))}/s" + (f"  {_time(left)} left" if left else "")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def percent_of(state: PullState) -> int:
    """How much of a file is there, 0 to 100."""
    if not state.total:
        return 100 if state.total == 0 else 0
    return min(100 * state.completed // state.total, 100)


def size_text(size: int) -> str:
    """Bytes for people, in steps of a thousand as Ollama's own list has them."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.1f} {unit}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def clean(text: str) -> str:
    """A server's words without what a terminal would obey."""
    return _CONTROLS.sub("", text)
