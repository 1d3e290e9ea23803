"""What both engines have in common: scripts in threads, each of which waits for one worker."""

from __future__ import annotations

import asyncio
import os
import threading
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from dovetail_scripts.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable

    from dovetail_scripts.job import Order
    from dovetail_scripts.models import ScriptExecutionResult

T = TypeVar("T")


class ThreadedEngine(ABC):
    """Runs each script in a thread, and stops it when nobody wants it any more."""

    def __init__(self, most: int) -> None:
        self.most = most
        """How many are under way at once."""
        self._cores = threading.Semaphore(max(1, (os.cpu_count() or 1) - 1))
        """Scripts that wait for the host take none of these; one is left to the host."""
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="dovetail-script")
        self._jobs: dict[Job, asyncio.Future[Any]] = {}

    @abstractmethod
    def opened(self) -> None:
        """Start what is needed from the start; called in a thread, as are the others."""

    @abstractmethod
    def closed(self) -> None:
        """End every process; called when nothing runs any more."""

    @abstractmethod
    def executed(self, job: Job) -> ScriptExecutionResult:
        """Run a script to its end."""

    @abstractmethod
    def checked(self, job: Job) -> None:
        """Parse a script, and raise `ScriptSyntaxError` if that cannot be done."""

    async def start(self) -> None:
        """Make ready."""
        await self._in_thread(self.opened)

    async def stop(self) -> None:
        """End the scripts that run, every process and thread."""
        try:
            while self._jobs:
                for job in self._jobs:
                    job.stop()
                await asyncio.wait(self._jobs.values())
            await self._in_thread(self.closed)
        finally:
            self._threads.shutdown()

    async def run(self, order: Order) -> ScriptExecutionResult:
        """Run one; cancelled, end it and only then return."""
        job = Job(order, self._cores)
        return await self._to_its_end(job, lambda: self.executed(job))

    async def check(self, order: Order) -> None:
        """Parse one.

        Raises:
            ScriptSyntaxError: that cannot be done.
        """
        job = Job(order, self._cores)
        await self._to_its_end(job, lambda: self.checked(job))

    async def _to_its_end(self, job: Job, work: Callable[[], T]) -> T:
        done = self._jobs[job] = self._in_thread(work)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            job.stop()
            while not done.done():
                try:
                    await asyncio.wait([done])
                except asyncio.CancelledError:
                    job.stop()
            done.exception()  # how it ended is nobody's concern now
            raise
        finally:
            del self._jobs[job]

    def _in_thread(self, work: Callable[[], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._threads, copy_context().run, work)
