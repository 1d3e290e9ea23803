"""Carrying out handlers one after the other, and cutting off the one that takes too long.

A limit of its own for every handler (`asyncio.timeout`) costs many times what a handler costs that
returns at once. So a delivery is noted only when a handler has to wait, and one timer looks, a few
times in the shortest limit, which handler each of them is at. One that was at work for its limit is
cancelled; if it goes on all the same it is cancelled again, and then its coroutine is closed.
"""

from __future__ import annotations

import asyncio
import types
from asyncio import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from operator import length_hint
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import structlog

from dovetail.events.failure import Failed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    Handle: TypeAlias = Callable[[Any, Any], Coroutine[Any, Any, object]]
    Steps: TypeAlias = types.GeneratorType[Any, Any, None]

log = structlog.get_logger("dovetail")

BEATS = 4
"""How often in the shortest limit the timer looks: a handler gets at most a quarter more."""
BEAT_SECONDS = (0.01, 1.0)
"""How often it looks at the most, and at the least."""
ASKS = 2
"""How often a handler is cancelled before its coroutine is closed."""
NO_LIMIT = float("inf")
IN_A_ROW = 100
"""After so many deliveries a queue lets others on the loop have a turn: its handlers may never
wait, and emit what they handle."""
_DONE = object()


@dataclass(frozen=True, slots=True)
class Plan:
    """Handlers to call in this order; for each the provider's name and its limit in seconds."""

    handles: tuple[Handle, ...]
    names: tuple[str, ...]
    limits: tuple[float, ...]
    full: bool = True
    """Whether the handlers take an `Event`, or only its name."""


class Owner(Protocol):
    """Who is told what became of handlers."""

    def failed(self, event: Any, failure: Failed) -> None:
        """A handler failed, just now."""

    async def tell(self, event: Any, failures: list[Failed]) -> None:
        """All handlers were called, and these failed."""


class Deliveries:
    """The handlers at work on one event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._beat = BEAT_SECONDS[1]
        self._under_way: dict[Iterator[Handle], _UnderWay] = {}
        """Those that wait, by their iterator: how much of it is left says for which handler."""
        self._cut: set[Iterator[Handle]] = set()
        """Those whose handler was cancelled by us."""

    def look_often_enough(self, limit: float) -> None:
        """There may be handlers with this limit."""
        beat = min(max(limit / BEATS, BEAT_SECONDS[0]), BEAT_SECONDS[1])
        self._beat = min(self._beat, beat)

    def begin(self, plan: Plan, event: Any, data: Any, owner: Owner) -> Awaitable[None] | None:
        """Call each handler with `event` and `data`; raises nothing that a handler raises.

        What is returned must be awaited at once; None says that no handler had to wait, and all is
        done. When the task is cancelled, the handler at work is, and no other is called.
        """
        rest = iter(plan.handles)
        steps: Any = self._call(rest, plan, event, data, owner)
        # `next` on a generator, unlike `send` on a coroutine, ends without an exception.
        waits_for = next(steps, _DONE)
        return None if waits_for is _DONE else self._go_on(steps, waits_for, rest, plan)

    def close(self) -> None:
        """Let the timer go if no handler is at work. It comes back when the next has to wait."""
        if self._timer is not None and not self._under_way:
            self._timer.cancel()
            self._timer = None

    @types.coroutine
    def _call(
        self, rest: Iterator[Handle], plan: Plan, event: Any, data: Any, owner: Owner
    ) -> Steps:
        failures: list[Failed] | None = None
        cut = self._cut
        for handle in rest:
            try:
                yield from handle(event, data)
            except (GeneratorExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                failure = self._judge(rest, plan, error)
                if failure is None:
                    raise  # the very exception: anyio knows its own by what they say
            else:
                if not cut:
                    continue
                failure = self._judge(rest, plan, None)
            if failure is not None:
                owner.failed(event, failure)
                failures = [*(failures or ()), failure]
            waiting = self._under_way.get(rest)
            if waiting is not None and waiting.cancelled:
                raise CancelledError
        if failures is not None:
            self._under_way.pop(rest, None)  # no handler is at work any more
            yield from owner.tell(event, failures)

    @types.coroutine
    def _go_on(self, steps: Steps, waits_for: Any, rest: Iterator[Handle], plan: Plan) -> Steps:
        """Hand on to the event loop what a handler waits for, and to it what comes of that."""
        waiting = _UnderWay(steps, plan, self._arm())
        self._under_way[rest] = waiting
        try:
            while waits_for is not _DONE:
                try:
                    yield waits_for
                except GeneratorExit:
                    steps.close()
                    raise
                except BaseException as thrown:  # noqa: BLE001 - it is the handler's to see
                    try:
                        waits_for = steps.throw(thrown.with_traceback(None))  # not from here
                    except StopIteration:
                        break
                else:
                    waits_for = next(steps, _DONE)
        finally:
            self._under_way.pop(rest, None)
            self._cut.discard(rest)
        if waiting.cancelled:
            raise CancelledError  # a handler kept it for itself

    def _judge(
        self, rest: Iterator[Handle], plan: Plan, error: BaseException | None
    ) -> Failed | None:
        """What it means that the handler at work raised `error`, or returned.

        None if it means nothing: it did return, or the emitter is being cancelled.
        """
        index = -1 - length_hint(rest)
        waiting = self._under_way.get(rest)
        if waiting is None:
            return None if error is None else Failed(plan.names[index], error, 0.0)
        seconds = waiting.task.get_loop().time() - waiting.began
        if rest in self._cut:
            self._cut.discard(rest)
            waiting.calm()
            late = TimeoutError(f"it took longer than {plan.limits[index]:g} s")
            late.__cause__ = error
            return Failed(plan.names[index], late, seconds)
        if error is None or (isinstance(error, CancelledError) and waiting.cancelled):
            return None
        return Failed(plan.names[index], error, seconds)

    def _arm(self) -> asyncio.Task[Any]:
        """See that the timer runs on the running loop; the running task."""
        loop = asyncio.get_running_loop()
        if self._timer is None or self._loop is not loop:
            self._loop, self._timer = loop, loop.call_later(self._beat, self._look)
        task = asyncio.current_task(loop)
        if task is None:
            message = "events are dispatched inside a task"
            raise RuntimeError(message)
        return task

    def _look(self) -> None:
        self._timer = None
        if not self._under_way or self._loop is None:
            return
        self._timer = self._loop.call_later(self._beat, self._look)
        now = self._loop.time()
        for rest, waiting in list(self._under_way.items()):
            left = length_hint(rest)
            if waiting.left != left:
                waiting.left, waiting.since, waiting.asked = left, now, 0
            elif now - waiting.since >= waiting.plan.limits[-1 - left]:
                self._cut.add(rest)
                waiting.ask(waiting.plan.names[-1 - left])


class _UnderWay:
    """A delivery that has to wait for a handler."""

    __slots__ = ("asked", "began", "cancels", "left", "plan", "since", "steps", "task", "was")

    def __init__(self, steps: Steps, plan: Plan, task: asyncio.Task[Any]) -> None:
        self.steps = steps
        self.plan = plan
        self.task = task
        self.began = task.get_loop().time()
        # A task that cancelled itself is about to be told so: that counts as not yet cancelled.
        self.was = task.cancelling() - getattr(task, "_must_cancel", False)
        """How often the emitter was cancelled before."""
        self.cancels = 0
        """How often it was cancelled by us."""
        self.left = -1
        """How many handlers come after the one at work, when the timer last looked."""
        self.since = 0.0
        """When it first saw that."""
        self.asked = 0
        """How often the handler at work was asked to stop."""

    @property
    def cancelled(self) -> bool:
        """Whether somebody else cancelled the emitter meanwhile."""
        return self.task.cancelling() - self.cancels > self.was

    def ask(self, provider: str) -> None:
        """Ask the handler at work to stop; the third time, end it."""
        if self.asked == ASKS:
            message = "an event provider swallows cancellation: its handler is ended"
            log.error(message, provider=provider)
            self._end()
        self.asked += 1
        self.cancels += self.task.cancel()

    def calm(self) -> None:
        """Take our cancels back."""
        for _ in range(self.cancels):
            self.task.uncancel()
        self.cancels = 0

    def _end(self) -> None:
        """Close the coroutine of the handler at work, as if nobody held it any more.

        Its task then finds it ended. If it waits for a task of its own which swallows cancellation
        too, nothing can wake it before that ends.
        """
        handler: Any = self.steps.gi_yieldfrom
        with suppress(BaseException):  # whatever it says: it had its chance
            handler.close()
