"""The queue of one event provider, and the task that empties it."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from contextvars import Context
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

import structlog

from dovetail.context import current_context, set_current_context
from dovetail.events.deliveries import IN_A_ROW
from dovetail.events.ending import end_tasks
from dovetail.events.event import EVENT_DROPPED, OWN_EVENTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from dovetail.context import ExecutionContext
    from dovetail.events.event import Event
    from dovetail.events.provider import DeliveryOptions

    Deliver: TypeAlias = Callable[[Event], Awaitable[None]]
    Tell: TypeAlias = Callable[[str, Mapping[str, Any], str], Awaitable[None]]
    Item: TypeAlias = tuple[Event, ExecutionContext | None]

log = structlog.get_logger("dovetail")

QUIET_SECONDS = 1.0
"""How long after it told of dropped events it tells of the next."""


class Mailbox:
    """A bounded queue that belongs to one provider for as long as that lives.

    Events are delivered one after the other, in the order in which they came, by whatever
    `attach` was given last. Its task begins with the first event; end it by `close`.
    """

    def __init__(self, provider: str, options: DeliveryOptions) -> None:
        self.provider = provider
        self.dropped = 0
        """How many events were dropped so far."""
        self._options = options
        self._items: deque[Item] = deque()
        self._waiting: deque[tuple[asyncio.Future[bool], Item]] = deque()
        """Emitters that wait for room, with their events."""
        self._filled = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._worker: asyncio.Task[None] | None = None
        self._at_work = False
        self._closed = False
        self._deliver: Deliver | None = None
        self._tell: Tell | None = None
        self._unlogged = self._untold = 0
        self._logged_at = self._told_at = -QUIET_SECONDS

    def __len__(self) -> int:
        """How many events wait, those of emitters that wait for room included."""
        return len(self._items) + len(self._waiting)

    def attach(self, deliver: Deliver, tell: Tell) -> None:
        """From now on `deliver` delivers, and `tell` tells others of events that were dropped."""
        self._deliver, self._tell = deliver, tell
        if self._items:
            self._start()

    async def put(self, event: Event, data: Any = None) -> None:
        """Queue an event; if there is no room, wait or drop one, as `when_full` says."""
        item = (event, current_context())
        if self._closed:
            self._drop(event)
        elif len(self._items) < self._options.queue_size and not self._waiting:
            self._take(item)
        elif self._options.when_full == "drop_oldest":
            self._drop(self._items.popleft()[0])
            self._take(item)
        elif self._options.when_full == "drop_newest" or not await self._wait(item):
            self._drop(event)

    def offer(self, event: Event) -> None:
        """Queue an event if there is room; never waits."""
        if self._closed or len(self._items) >= self._options.queue_size or self._waiting:
            self._drop(event)
        else:
            self._take((event, current_context()))

    async def drain(self, limit: float | None = None) -> int:
        """Wait until all is delivered; how many events are left then.

        It waits at most `limit` seconds, `drain_timeout` unless given.
        """
        limit = self._options.drain_timeout if limit is None else limit
        if self._worker is not None and not self._worker.done():
            with suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await self._idle.wait()
        return len(self) + self._at_work

    async def close(self, limit: float | None = None) -> int:
        """Take no more, deliver what waits, end its task; how many events were not delivered.

        `limit` is in seconds, `drain_timeout` unless given; the handler then at work is cancelled.
        """
        if self._closed:
            return 0
        self._closed = True
        try:
            lost = await self.drain(limit)
        finally:
            await self._end_worker()
            self._items.clear()
            while self._waiting:
                waiter, _ = self._waiting.popleft()
                if not waiter.done():
                    waiter.set_result(True)  # counted here
        self.dropped += lost
        if lost:
            message = "events were not delivered before their provider stopped"
            log.error(message, provider=self.provider, count=lost)
        self._log_dropped()
        return lost

    def _take(self, item: Item) -> None:
        self._items.append(item)
        self._idle.clear()
        self._filled.set()
        self._start()

    def _start(self) -> None:
        if self._deliver is not None and (self._worker is None or self._worker.done()):
            # In an empty context: what the emitter has in its own is not the provider's.
            self._worker = asyncio.get_running_loop().create_task(
                self._work(), name=f"dovetail events {self.provider}", context=Context()
            )

    async def _wait(self, item: Item) -> bool:
        """Wait for room, first come, first served; False if there was none in time."""
        if asyncio.current_task() is self._worker:
            return False  # its own handler emits: it would wait for itself
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        entry = (waiter, item)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(self._options.handler_timeout):
                return await waiter
        except BaseException as error:
            if entry in self._waiting:
                self._waiting.remove(entry)
            if not isinstance(error, TimeoutError):
                raise
            # There may have been room just as time was up.
            return waiter.done() and not waiter.cancelled() and waiter.result()

    async def _work(self) -> None:
        count = 0
        while True:
            count += 1
            if count % IN_A_ROW == 0:
                await asyncio.sleep(0)
            while not self._items:
                self._filled.clear()
                self._idle.set()
                await self._rest()
            event, context = self._items.popleft()
            self._admit()
            set_current_context(context)
            assert self._deliver is not None  # noqa: S101 - it was attached before this began
            self._at_work = True
            await self._deliver(event)
            self._at_work = False
            if self._untold and self._quiet_for() <= 0:
                await self._tell_dropped()

    async def _rest(self) -> None:
        """Wait for an event; meanwhile, when the time has come, tell of those that were dropped."""
        if not self._untold:
            await self._filled.wait()
            return
        try:
            async with asyncio.timeout(self._quiet_for()):
                await self._filled.wait()
        except TimeoutError:
            await self._tell_dropped()

    def _quiet_for(self) -> float:
        """Seconds until others may be told again."""
        return self._told_at + QUIET_SECONDS - monotonic()

    def _admit(self) -> None:
        while self._waiting and len(self._items) < self._options.queue_size:
            waiter, item = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(True)
                self._items.append(item)

    def _drop(self, event: Event) -> None:
        self.dropped += 1
        self._unlogged += 1
        if event.name not in OWN_EVENTS:
            self._untold += 1
        if monotonic() - self._logged_at >= QUIET_SECONDS:
            self._log_dropped()

    def _log_dropped(self) -> None:
        if self._unlogged:
            why = "its provider has stopped" if self._closed else "its queue is full"
            message = "events were dropped"
            log.warning(message, provider=self.provider, count=self._unlogged, why=why)
            self._unlogged, self._logged_at = 0, monotonic()

    async def _tell_dropped(self) -> None:
        if self._untold and self._tell is not None:
            count, self._untold, self._told_at = self._untold, 0, monotonic()
            data = {"provider": self.provider, "count": count, "dropped": self.dropped}
            await self._tell(EVENT_DROPPED, data, self.provider)

    async def _end_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None and await end_tasks([worker]):
            message = "an event provider does not stop handling an event, and is left behind"
            log.error(message, provider=self.provider)
