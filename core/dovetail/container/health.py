"""Asking what was registered whether it works."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any, Literal

from dovetail.context import ExecutionContext
from dovetail.errors import DependencyError
from dovetail.host.importing import call_in_thread
from dovetail.host.records import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from dovetail.container.container import SmartDependencyContainer
    from dovetail.container.registry import Entry


@dataclass(frozen=True, slots=True)
class DependencyHealth:
    """How a registration is."""

    key: str
    """What it was registered as, as errors show it."""
    state: Literal["ok", "failed", "unknown"]
    """`unknown` if it has no ping."""
    seconds: float = 0.0
    """How long it took to get it and to ping it."""
    error: str = ""
    """What went wrong, without what looks like a secret."""


class HealthChecks:
    """Pings registrations, all at once; one whose last ping still hangs is not pinged again."""

    def __init__(self, container: SmartDependencyContainer) -> None:
        self._container = container
        self._going: dict[Entry, asyncio.Task[Any]] = {}

    async def run(self, entries: Iterable[Entry], limit: float) -> list[DependencyHealth]:
        """How each of `entries` is, within about `limit` seconds."""
        return list(await asyncio.gather(*(self._check(entry, limit) for entry in entries)))

    def cancel(self) -> None:
        """Give up the pings that still hang."""
        for task in list(self._going.values()):
            task.cancel()

    async def _check(self, entry: Entry, limit: float) -> DependencyHealth:
        if entry.ping is None:
            return DependencyHealth(entry.name, "unknown")
        if entry in self._going:
            return DependencyHealth(entry.name, "failed", error="its last ping still hangs")
        began = time.monotonic()
        task = self._own(entry, self._ping(entry, entry.ping))
        try:
            await asyncio.wait([task], timeout=limit)
            error = _what_failed(task, limit)
        finally:
            task.cancel()  # it stays known until it has really ended
        seconds = time.monotonic() - began
        return DependencyHealth(entry.name, "failed" if error else "ok", seconds, error)

    async def _ping(self, entry: Entry, ping: Callable[[Any], Any]) -> None:
        async with self._container.scope(ExecutionContext()) as context:
            value = await self._container.aresolve(entry.key, context)
            if iscoroutinefunction(ping):
                answer = await ping(value)
            else:  # it may block, and the event loop must not
                what = f"the ping of {entry.name}"
                work = call_in_thread(partial(ping, value), math.inf, what)
                answer = await asyncio.shield(self._own(entry, work))
                answer = await answer if isawaitable(answer) else answer
            if answer is False:
                raise DependencyError("its ping said no")

    def _own(self, entry: Entry, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task that counts as the entry's ping until it ends."""
        task = asyncio.create_task(work, name=f"dovetail ping {entry.name}")
        before = self._going.get(entry)

        def ended(_: asyncio.Task[Any]) -> None:
            if self._going.get(entry) is task:
                del self._going[entry]
                if before is not None and not before.done():
                    self._going[entry] = before

        self._going[entry] = task
        task.add_done_callback(ended)
        return task


def _what_failed(task: asyncio.Task[Any], limit: float) -> str:
    if not task.done():
        return f"no answer within {limit:g} s"
    if task.cancelled():
        return "its ping was cancelled from within"
    failure = task.exception()
    return describe(failure) if failure is not None else ""
