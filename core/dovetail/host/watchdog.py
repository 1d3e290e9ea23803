"""Noticing a component that blocks the event loop in its `start()` or `stop()`.

Limits on a loop are kept by the loop itself: code that never awaits stops them too. So while
components start or stop, a thread looks from outside whether the loop still turns.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import structlog

from dovetail.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from dovetail.host.planning import Planned
    from dovetail.host.records import Failure, FailureStage

log = structlog.get_logger("dovetail")

SHORTEST_BEAT = 0.01
LONGEST_BEAT = 0.25
"""Seconds between two looks; a quarter of the shortest limit if that is between them."""
JOIN_SECONDS = 1.0

_blocked: WeakKeyDictionary[asyncio.AbstractEventLoop, Failure] = WeakKeyDictionary()


def blocked_by(loop: asyncio.AbstractEventLoop) -> Failure | None:
    """The component that blocks `loop` now, beyond its limit; for other threads to ask.

    Nothing on the loop can go on until it returns: whoever waits for the loop may give up.
    """
    return _blocked.get(loop)


class LoopBlocked(PluginError):
    """A component blocks the event loop that another thread waits for."""


def wait_for_loop(acquire: Callable[[float], object], loop: asyncio.AbstractEventLoop) -> None:
    """Wait, in another thread, for something that `loop` does.

    `acquire(seconds)` waits that long at most and says whether it is done.

    Raises:
        LoopBlocked: a component blocks the loop beyond its limit, so nothing will come of it.
    """
    while not acquire(LONGEST_BEAT):
        if failure := blocked_by(loop):
            raise LoopBlocked(str(failure))


class Watchdog:
    """`with Watchdog() as dog:` around the start or stop of components on the running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._watched: dict[asyncio.Task[None], tuple[Planned, FailureStage, float]] = {}
        self._told: set[tuple[asyncio.Task[None], FailureStage]] = set()
        self._beat = LONGEST_BEAT
        self._last = time.monotonic()
        """When the loop was last seen to turn, or asked whether it does."""
        self._waiting = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dovetail-watchdog", daemon=True)

    def __enter__(self) -> Self:
        """Look from now on."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Look no more."""
        self._done.set()
        self._thread.join(JOIN_SECONDS)
        _blocked.pop(self._loop, None)

    def watch(
        self, task: asyncio.Task[None], planned: Planned, stage: FailureStage, limit: float
    ) -> None:
        """What `task` does from now on is the component's `start()` or `stop()`.

        `limit` is how many seconds it may block the loop before that is an error.
        """
        self._watched[task] = (planned, stage, limit)
        self._beat = max(min(self._beat, limit / 4), SHORTEST_BEAT)

    def _run(self) -> None:
        while not self._done.wait(self._beat):
            if self._waiting:
                self._look()
                continue
            self._waiting, self._last = True, time.monotonic()
            try:
                self._loop.call_soon_threadsafe(self._turned)
            except RuntimeError:
                return  # the loop was closed: whoever ran it has given up

    def _turned(self) -> None:
        self._waiting = False
        _blocked.pop(self._loop, None)

    def _look(self) -> None:
        task = asyncio.current_task(self._loop)
        known = self._watched.get(task) if task is not None else None
        if task is None or known is None:
            return  # something else is at work, which is not the host's to judge
        planned, stage, limit = known
        if time.monotonic() - self._last < limit or (task, stage) in self._told:
            return
        self._told.add((task, stage))
        cause = PluginError(f"`{stage}()` has blocked the event loop for {limit:g} s")
        hint = "it must await; blocking work belongs in `asyncio.to_thread()`"
        failure = planned.fail(stage, cause, hint)
        _blocked[self._loop] = failure
        if not self._waiting:  # it went on meanwhile
            _blocked.pop(self._loop, None)
        log.error(str(failure))
