"""Time limits of one request that cost a chunk next to nothing.

`asyncio.timeout` costs 3 µs each time; here one timer watches a request, and a chunk only notes
that it came.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Expired(Exception):
    """A limit was passed; `step` says which."""

    def __init__(self, step: str, seconds: float) -> None:
        super().__init__(step)
        self.step = step
        self.seconds = seconds


class Deadline:
    """Limits what one task waits for: each step on its own, and all of it together.

    Time runs only while the task waits inside `with deadline.step(...)`, so that a slow reader of
    a stream is not taken for a slow server; the total runs always.
    """

    __slots__ = (
        "_ends",
        "_expired",
        "_limit",
        "_loop",
        "_since",
        "_step",
        "_task",
        "_timer",
        "_total",
        "_waited",
    )

    def __init__(self, total: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._total = total
        self._ends = self._loop.time() + total if total is not None else None
        self._step = ""
        self._limit = 0.0
        self._since = 0.0
        self._waited = 0.0
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expired: Expired | None = None

    def step(self, name: str, seconds: float) -> Self:
        """Limit what is awaited inside the `with` that follows.

        Waits of one name, one after the other, share their time until there is `progress`: what
        came between them may not have been a piece of the answer.
        """
        if name != self._step:
            self._step, self._limit, self._waited = name, seconds, 0.0
        return self

    def progress(self) -> None:
        """A piece of the answer came: the step's time begins anew."""
        self._waited = 0.0

    def __enter__(self) -> None:
        """The task begins to wait."""
        self._since = self._loop.time() - self._waited
        self._task = asyncio.current_task()
        if self._timer is None or self._timer.when() > self._due():
            self.close()
            self._watch()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """It waits no more; a cancel that came of a limit becomes `Expired`."""
        self._waited = self._loop.time() - self._since
        task, self._task = self._task, None
        expired, self._expired = self._expired, None
        if expired is None or task is None:
            return
        # Taken back in any case: what it broke off may have turned the cancel into another error.
        if task.uncancel() <= 0 and isinstance(error, asyncio.CancelledError):
            raise expired from None

    def close(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> float:
        due = self._since + self._limit
        return due if self._ends is None else min(due, self._ends)

    def _watch(self) -> None:
        self._timer = self._loop.call_at(self._due(), self._look)

    def _look(self) -> None:
        self._timer = None
        if self._task is None:
            return  # nobody waits; the next step starts another timer
        now = self._loop.time()
        if now < self._due():
            self._watch()
            return
        if self._ends is not None and self._total is not None and now >= self._ends:
            self._expired = Expired("total", self._total)
        else:
            self._expired = Expired(self._step, self._limit)
        self._task.cancel()
