"""A thread that does the work of a queue, and the way there and back from the event loop."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from dovetail_sqlite.failures import DatabaseError
from dovetail_sqlite.link import Job, Link

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

CLOSED = "the database is closed"
LONGEST = 1000
"""How many jobs may wait in a queue; whoever has one more waits for room."""


class _Asked(Job):
    """A job, and who waits for it."""

    __slots__ = ("future",)

    def __init__(
        self,
        work: Callable[[sqlite3.Connection], Any],
        future: asyncio.Future[Any],
        *,
        durable: bool,
    ) -> None:
        super().__init__(work, durable=durable)
        self.future = future


class Lane:
    """A queue, and the thread that owns the connection for it.

    `together` is how many jobs that wait may share one transaction, and so one wait for the disk.
    """

    def __init__(self, name: str, link: Link, *, together: int = 1) -> None:
        self._name = name
        self._link = link
        self._together = together
        self._queue: SimpleQueue[_Asked | None] = SimpleQueue()
        self._room = asyncio.Semaphore(LONGEST)
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether it takes jobs."""
        return self._thread is not None

    def start(self) -> None:
        """Start the thread; it ends with `close`, or with the process."""
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    async def do(self, work: Callable[[sqlite3.Connection], Any], *, durable: bool) -> Any:
        """What `work` gives, once its transaction has been kept."""
        await self._room.acquire()
        if not self.running:
            self._room.release()
            raise DatabaseError(CLOSED)
        job = _Asked(work, self._loop.create_future(), durable=durable)
        self._queue.put(job)
        return await job.future

    async def close(self) -> None:
        """Do what waits, close the connection and end the thread; may be called again."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            await self._ended
            thread.join()  # it has said that it is at its end

    def _run(self) -> None:
        while jobs := self._take():
            if wanted := [job for job in jobs if not job.future.cancelled()]:
                self._link.run(wanted)
            self._tell(self._deliver, jobs)
        self._link.close()
        self._tell(self._ended.set_result, None)

    def _take(self) -> list[_Asked]:
        """The next job and those that wait behind it; nothing when it is time to end."""
        jobs: list[_Asked] = []
        while not jobs or (len(jobs) < self._together and not self._queue.empty()):
            job = self._queue.get()
            if job is None:
                if jobs:
                    self._queue.put(None)  # after these
                break
            jobs.append(job)
        return jobs

    def _deliver(self, jobs: list[_Asked]) -> None:
        for job in jobs:
            self._room.release()
            if job.future.done():  # whoever asked has gone
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)

    def _tell(self, callback: Callable[..., object], argument: object) -> None:
        with suppress(RuntimeError):  # the loop has been closed, and nobody is there to be told
            self._loop.call_soon_threadsafe(callback, argument)
