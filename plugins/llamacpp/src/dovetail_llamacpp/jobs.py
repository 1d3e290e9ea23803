"""Native calls on threads of our own, and how what they say reaches the event loop.

The threads are daemons, so a call that never returns cannot keep the process alive, and none is
the main thread, so Ctrl-C goes where it should.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dovetail import ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

WINDOW = 64
"""How many items a job may be ahead of its reader."""


class Job(Generic[T]):
    """One call of `work(job)` on a worker's thread, for the loop that made it.

    `work` may `put` items as it goes; what it returns or raises ends up in `result`.
    """

    def __init__(self, work: Callable[[Job[T]], T]) -> None:
        self._work: Callable[[Job[T]], T] | None = work
        self._loop = asyncio.get_running_loop()
        self._items: deque[Any] = deque()
        self._room = threading.Condition()
        self._news = asyncio.Event()
        self._told = self._ended = False
        self.stopped = False
        self.finished = threading.Event()
        self.result: asyncio.Future[T] = self._loop.create_future()
        self.result.add_done_callback(self._on_result)

    def put(self, item: object) -> bool:
        """Hand `item` to the reader, waiting while it is `WINDOW` behind. True means: stop.

        Called on the worker's thread.
        """
        with self._room:
            while len(self._items) >= WINDOW and not self.stopped:
                self._room.wait()
            if self.stopped:
                return True
            self._items.append(item)
            told, self._told = self._told, True
        return False if told else not self._tell(self._news.set)

    async def more(self) -> tuple[Any, ...] | None:
        """What `work` has put since, waiting until there is something; None when it is done.

        Raises:
            BaseException: what `work` raised, after all it had put.
        """
        if self._ended:
            self.result.result()
            return None
        await self._news.wait()
        self._news.clear()
        # Looked at before the items are taken: whoever is done puts nothing more.
        self._ended = self.result.done()
        with self._room:
            items = tuple(self._items)
            self._items.clear()
            self._told = False
            self._room.notify()
        return items

    def stop(self) -> None:
        """Let the next `put` say that it is enough. From any thread."""
        with self._room:
            self.stopped = True
            self._room.notify()

    def drop(self, error: Exception) -> None:
        """End a job that will not be run. From any thread."""
        self._work = None
        self.finished.set()
        self._tell(_Failure(self.result, error))

    def run(self) -> None:
        """Do the work; for the worker."""
        work, self._work = self._work, None
        assert work is not None  # noqa: S101 - a job runs once
        try:
            value = work(self)
        except BaseException as error:  # noqa: BLE001 - it belongs to the task that waits for it
            outcome: Callable[[], None] = _Failure(self.result, error)
        else:
            outcome = _Success(self.result, value)
            del value
        del work
        self.finished.set()
        self._tell(outcome)

    def _on_result(self, result: asyncio.Future[T]) -> None:
        self._news.set()
        if not result.cancelled():
            result.exception()  # or asyncio reports an error that nobody stayed for

    def _tell(self, callback: Callable[[], None]) -> bool:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop was closed: nobody is left to be told
            self.stopped = True
            return False
        return True


class _Success:
    def __init__(self, future: asyncio.Future[T], value: T) -> None:
        self._future, self._value = future, value

    def __call__(self) -> None:
        if not self._future.done():
            self._future.set_result(self._value)


class _Failure:
    def __init__(self, future: asyncio.Future[Any], error: BaseException) -> None:
        self._future, self._error = future, error

    def __call__(self) -> None:
        if not self._future.done():
            self._future.set_exception(self._error)


class Workers:
    """At most `size` daemon threads that take jobs in the order they came.

    At most `waiting` jobs wait; one more is refused with `ProviderUnavailable`.
    """

    def __init__(self, name: str, size: int, waiting: int) -> None:
        self._name, self._size, self._waiting = name, size, waiting
        self._jobs: deque[Job[Any]] = deque()
        self._running: set[Job[Any]] = set()
        self._threads = 0
        self._idle = 0
        self._closed = False
        self._changed = threading.Condition()

    def submit(self, job: Job[Any]) -> None:
        """Queue a job; it runs when those before it are done."""
        with self._changed:
            if self._closed:
                message = f"`{self._name}` was closed while a request was on its way to it"
                raise ProviderUnavailable(message)
            if len(self._jobs) >= self._waiting:
                message = (
                    f"{len(self._jobs)} requests wait for `{self._name}` already; "
                    "try again later, or raise `waiting` or `slots` in the settings"
                )
                raise ProviderUnavailable(message)
            self._jobs.append(job)
            if self._idle >= len(self._jobs):
                self._changed.notify()
                return
            if self._threads == self._size:
                return
            self._threads += 1
        threading.Thread(target=self._serve, name=f"dovetail-{self._name}", daemon=True).start()

    def withdraw(self, job: Job[Any]) -> bool:
        """Take back a job that has not begun; False if it has."""
        with self._changed:
            try:
                self._jobs.remove(job)
            except ValueError:
                return False
            return True

    def close(self) -> tuple[Job[Any], ...]:
        """Take no more jobs, drop those that wait, stop those that run and give them back."""
        with self._changed:
            self._closed = True
            dropped = tuple(self._jobs)
            self._jobs.clear()
            running = tuple(self._running)
            self._changed.notify_all()
        for job in running:
            job.stop()
        for job in dropped:
            job.drop(ProviderUnavailable(f"`{self._name}` was closed while the request waited"))
        return running

    def _serve(self) -> None:
        while (job := self._next()) is not None:
            job.run()
            with self._changed:
                self._running.discard(job)
            del job  # or its last result would live until the next one comes

    def _next(self) -> Job[Any] | None:
        with self._changed:
            self._idle += 1
            while not self._jobs and not self._closed:
                self._changed.wait()
            self._idle -= 1
            if self._closed:
                self._threads -= 1
                return None
            job = self._jobs.popleft()
            self._running.add(job)
            return job
