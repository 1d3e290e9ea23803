"""Counting what is open: tasks, threads and files, so that a leak shows."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dovetail.testing.loop import GRACE_SECONDS, BoundedLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SETTLE_SECONDS = 1.0
"""How long what is closing may take to be gone."""


@dataclass(frozen=True, slots=True)
class Census:
    """What was open at one moment."""

    tasks: frozenset[asyncio.Task[object]]
    threads: int
    files: int
    """Open files and sockets; 0 where the system does not say."""

    @classmethod
    def take(cls) -> Census:
        """Count now."""
        tasks = frozenset(task for task in asyncio.all_tasks() if not _of_the_runner(task))
        return cls(tasks, threading.active_count(), _open_files())

    def growth(self, times: int = 1) -> list[str]:
        """What has been added since, in words.

        Something that was done `times` times leaks if it left a task, or as many threads or files
        as it was done: a thread of a pool, or a log file, that is opened once is no leak.
        """
        now = Census.take()
        tasks = [task for task in now.tasks - self.tasks if not task.done()]
        found = [f"the task {task.get_name()!r} of {task.get_coro()!r}" for task in tasks]
        if now.threads - self.threads >= times:
            found.append(f"{now.threads - self.threads} threads")
        if now.files - self.files >= times:
            found.append(f"{now.files - self.files} open files or sockets")
        return found

    async def settled(self, times: int = 1) -> list[str]:
        """`growth`, given time for what is closing to be gone."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SETTLE_SECONDS
        while (found := self.growth(times)) and loop.time() < deadline:  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.02)
        return found


class OutOfTimeError(AssertionError):
    """What a test waited for did not come."""


@asynccontextmanager
async def within(seconds: float, what: str) -> AsyncIterator[None]:
    """Fail, saying `what` did not come, if the body takes longer than `seconds`.

    A body that goes on although it is cancelled is left by a `BoundedLoop`; any other loop waits.
    """
    limit = asyncio.timeout(seconds)
    message = f"{what} within {seconds:g} s"
    loop = asyncio.get_running_loop()
    last = None
    if isinstance(loop, BoundedLoop):
        last = loop.call_later(seconds + GRACE_SECONDS, loop.leave, message)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise OutOfTimeError(message) from None
    finally:
        if last is not None:
            last.cancel()


def _of_the_runner(task: asyncio.Task[object]) -> bool:
    """Whether anyio made it to run a fixture or a test; it makes one for each."""
    return getattr(task.get_coro(), "__qualname__", "").startswith("TestRunner.")


def _open_files() -> int:
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return 0
