"""The synchronous twin of the kernel, for scripts and notebooks.

The kernel runs on an event loop in a daemon thread of its own: `asyncio.run` fails inside a
notebook's loop. Chunks are handed over all that are there at a time: a hop between threads costs
more than a chunk.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from concurrent.futures import CancelledError
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dovetail.errors import KernelClosed
from dovetail.host.watchdog import LoopBlocked, blocked_by, wait_for_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from types import TracebackType
    from typing import Self

    from dovetail.chat.chunks import StreamingChunk
    from dovetail.chat.responses import ChatResponse, EmbeddingResponse, ModelInfo
    from dovetail.chat.stream import ChatStream
    from dovetail.host.host import Reload
    from dovetail.kernel import Kernel

T = TypeVar("T")

JOIN_SECONDS = 5.0
"""How long the end of the kernel's thread is waited for."""


class SyncKernel:
    """A kernel without `await`: `with Kernel.sync("dovetail.toml") as kernel: …`.

    May be called from several threads. An exception in the caller, such as `KeyboardInterrupt`,
    cancels what it waited for and waits until that is kept.
    """

    def __init__(self, make: Callable[[], Kernel]) -> None:
        self._make = make
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._kernel: Kernel | None = None
        self._jobs: set[_Job[Any]] = set()
        """What other threads wait for."""

    def __enter__(self) -> Self:
        """Start; see `Kernel.start`."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="dovetail-kernel", daemon=True)
        self._thread.start()
        try:
            self._kernel = self.run(self._start)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close; see `Kernel.close`."""
        try:
            if self._kernel is not None:
                self.run(self._kernel.close)
        finally:
            self._kernel = None
            self._end()

    @property
    def kernel(self) -> Kernel:
        """The kernel itself; its coroutines run by `call`."""
        if self._kernel is None:
            message = "the kernel is not open: use `with Kernel.sync(...) as kernel:`"
            raise KernelClosed(message)
        return self._kernel

    def chat(self, *args: Any, **options: Any) -> ChatResponse:
        """See `Kernel.chat`."""
        return self.run(partial(self.kernel.chat, *args, **options))

    def stream(self, *args: Any, **options: Any) -> SyncStream:
        """See `Kernel.stream`; for `with`."""
        return SyncStream(self, self.kernel.stream(*args, **options))

    def embed(self, *args: Any, **options: Any) -> EmbeddingResponse:
        """See `Kernel.embed`."""
        return self.run(partial(self.kernel.embed, *args, **options))

    def models(self) -> list[ModelInfo]:
        """See `Kernel.models`."""
        return self.run(self.kernel.models)

    def reload(self) -> Reload:
        """See `Kernel.reload`."""
        return self.run(self.kernel.reload)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the kernel's loop and wait for it.

        If waiting is broken off, the coroutine is cancelled and waited for.
        """
        try:
            return self.run(lambda: work)
        finally:
            if inspect.getcoroutinestate(work) == inspect.CORO_CREATED:
                work.close()

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Make a coroutine on the kernel's thread, where no interrupt comes, and wait for it."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            message = "the kernel is not open: use `with Kernel.sync(...) as kernel:`"
            raise KernelClosed(message)
        if thread is threading.current_thread():
            message = "this is the kernel's own thread, which would wait for itself: use `await`"
            raise KernelClosed(message)
        job = _Job(make)
        self._jobs.add(job)
        try:
            loop.call_soon_threadsafe(job.begin)
            wait_for_loop(partial(job.done.acquire, True), loop)  # noqa: FBT003 - a lock's own words
        except LoopBlocked:
            raise
        except BaseException:
            if not loop.is_closed():
                loop.call_soon_threadsafe(job.cancel)
                if not job.finished:  # else the interrupt came just after the lock was taken
                    wait_for_loop(partial(job.done.acquire, True), loop)  # noqa: FBT003 - as above
            raise
        finally:
            self._jobs.discard(job)
        return job.result()

    async def _start(self) -> Kernel:
        return await self._make().start()

    def _run(self) -> None:
        loop = self._loop
        assert loop is not None  # noqa: S101 - for the type checker
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            _finish(loop)  # here: another thread may have a running loop of its own

    def _end(self) -> None:
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        if blocked_by(loop) is None:
            thread.join(JOIN_SECONDS)  # a plugin that blocks the loop must not block the end
        for job in list(self._jobs):
            job.give_up()


class SyncStream:
    """A stream without `await`: `with kernel.stream(…) as stream: for chunk in stream: …`."""

    def __init__(self, kernel: SyncKernel, stream: ChatStream) -> None:
        self._kernel = kernel
        self._stream = stream

    @property
    def response(self) -> ChatResponse:
        """See `ChatStream.response`."""
        return self._stream.response

    def cancel(self) -> bool:
        """See `ChatStream.cancel`."""

        async def cancel() -> bool:
            return self._stream.cancel()

        return self._kernel.run(cancel)

    def __enter__(self) -> Self:
        """Begin the turn."""
        try:
            self._kernel.run(self._stream.__aenter__)
        except BaseException:
            self._kernel.run(self._leave)  # an interrupt may have come just after it began
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Cancel the turn if it still runs, and wait until it is kept."""
        self._kernel.run(self._leave)

    async def _leave(self) -> None:
        if self._stream.begun:
            await self._stream.__aexit__(None, None, None)

    def __iter__(self) -> Iterator[StreamingChunk]:
        """The chunks."""
        while chunks := self._kernel.run(self._stream.take_all):
            yield from chunks


class _Job(Generic[T]):
    """A coroutine that runs on one thread while another waits for it.

    The wait is on a bare lock: an interrupt in the middle of a `threading` or `concurrent.futures`
    object can leave its lock held for ever, and with it the kernel's thread.
    """

    def __init__(self, make: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self.done = threading.Lock()
        self.done.acquire()
        self.finished = False
        self._make = make
        self._task: asyncio.Task[T] | None = None
        self._cancelled = False

    def begin(self) -> None:
        """Start it; on the kernel's thread."""
        if not self._cancelled:
            self._task = asyncio.get_running_loop().create_task(self._make())
            self._task.add_done_callback(lambda _: self._finish())

    def cancel(self) -> None:
        """Cancel it, or see that it never starts; on the kernel's thread."""
        if self._task is not None:
            self._task.cancel()
        elif not self._cancelled:
            self._cancelled = True
            self._finish()

    def give_up(self) -> None:
        """Let the other thread go: the kernel has ended, and this with it."""
        if not self.finished:
            self._finish()

    def _finish(self) -> None:
        self.finished = True
        self.done.release()

    def result(self) -> T:
        """What it gave or raised, once it is done."""
        if self._task is not None and not self._task.done():
            message = "the kernel was closed during the call"
            raise KernelClosed(message)
        if self._task is None or self._task.cancelled():
            raise CancelledError
        return self._task.result()


def _finish(loop: asyncio.AbstractEventLoop) -> None:
    """End what is left on a loop that was stopped, as `asyncio.run` does."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=1.0))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
