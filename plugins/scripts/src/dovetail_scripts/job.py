"""One execution of a script: what its thread, the event loop and its worker share."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from dovetail_scripts.calls import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from dovetail_scripts.calls import HostCalls
    from dovetail_scripts.models import Limits


_LOOK = 0.05
"""Seconds after which a thread that waits for a core looks whether it is still wanted."""


class Order(NamedTuple):
    """What is to be run."""

    source: str
    name: str
    inputs: Mapping[str, Any]
    limits: Limits
    calls: HostCalls
    now: datetime | None = None
    seed: int | None = None


class Stopped(Exception):
    """The script is not wanted any more."""


class Job:
    """An order under way in a thread of its own, which may ask the event loop and be stopped by it.

    What is asked runs as one task at a time; `stop` cancels it, or kills the worker. While it does
    not ask it has one of `cores`.
    """

    def __init__(self, order: Order, cores: threading.Semaphore) -> None:
        self.order = order
        self._cores = cores
        self._computes = False
        """Whether it has one of them."""
        self.printed: list[str] = []
        self.too_much = False
        """Whether it printed more than it may."""
        self.seconds = 0.0
        """The script's own time, once it has ended."""
        self._room = order.limits.output
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._stopped = False
        self._task: asyncio.Task[Any] | None = None
        self._worker: Worker | None = None
        self._waited = 0.0
        self._began = time.perf_counter()

    @property
    def output(self) -> str:
        """What it printed."""
        return "".join(self.printed)

    def begin(self, pid: int | None) -> None:
        """Take a worker, and wait for a core; called in the thread.

        Raises:
            Stopped: too late.
        """
        self._take_core()
        with self._lock:
            if not self._stopped:
                self._worker = Worker(pid) if pid is not None else None
                self._began = time.perf_counter()
                return
        self._leave_core()
        raise Stopped

    def count_from_here(self) -> None:
        """Count the script's own time from now: its worker had to get ready first."""
        self._began = time.perf_counter()

    def end(self) -> None:
        """Let go of the worker, which stays with its pool."""
        self._leave_core()
        self.seconds = time.perf_counter() - self._began - self._waited
        with self._lock:
            if self._worker is not None:
                self._worker.close()
                self._worker = None

    def kill(self) -> None:
        """End the worker's process."""
        with self._lock:
            if self._worker is not None:
                self._worker.kill()

    def stop(self) -> None:
        """Have the thread come to its end soon; called in the event loop, as often as wanted."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
        else:
            self.kill()

    @property
    def stopped(self) -> bool:
        """Whether it was."""
        return self._stopped

    def heard(self, _stream: str, text: str) -> None:
        """Take what the script prints; called in the thread."""
        if self.too_much:
            return
        self.printed.append(text[: self._room])
        self._room -= len(text)
        if self._room < 0:
            self.too_much = True
            self.kill()

    def ask(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call a host function in the event loop and wait for it; called in the thread.

        Raises:
            Stopped: the script was meanwhile.
            Refused: the call did not succeed.
            ScriptLimitReached: the script is to be stopped.
        """
        done: Future[Any] = Future()
        began = time.perf_counter()
        self._leave_core()
        self._loop.call_soon_threadsafe(self._call, done, name, args, kwargs)
        try:
            return done.result()
        finally:
            try:
                self._take_core()
            finally:
                self._waited += time.perf_counter() - began

    def _take_core(self) -> None:
        while not self._cores.acquire(timeout=_LOOK):
            if self._stopped:
                raise Stopped
        self._computes = True

    def _leave_core(self) -> None:
        if self._computes:
            self._computes = False
            self._cores.release()

    def _call(
        self, done: Future[Any], name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        if self._stopped:
            done.set_exception(Stopped())
            return
        self._task = asyncio.create_task(self.order.calls.call(name, args, kwargs))
        self._task.add_done_callback(lambda task: self._answer(task, done))

    def _answer(self, task: asyncio.Task[Any], done: Future[Any]) -> None:
        self._task = None
        if self._stopped:
            if not task.cancelled():
                task.exception()  # was seen
            done.set_exception(Stopped())
        elif task.cancelled():
            done.set_exception(Refused("RuntimeError", "a host function was cancelled"))
        elif (error := task.exception()) is not None:
            done.set_exception(error)
        else:
            done.set_result(task.result())


class Worker:
    """A process, so held that no other of the same number is killed in its place."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._handle = None
        if sys.platform == "linux":
            with suppress(OSError):
                self._handle = os.pidfd_open(pid)

    def kill(self) -> None:
        """End it; nothing happens if it has ended."""
        with suppress(OSError):
            if sys.platform == "linux" and self._handle is not None:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            else:
                os.kill(self._pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of it."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
