"""A group of consumers of an in-process bus: its queue, its members, and giving events again."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from random import uniform
from typing import TYPE_CHECKING, Any, TypeAlias

import structlog

from dovetail.errors import BusFull
from dovetail.events.bus import BusEvent, Subscription
from dovetail.events.deliveries import IN_A_ROW, Plan
from dovetail.events.ending import end_tasks
from dovetail.events.wire import decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from dovetail.events.bus import BusHandler
    from dovetail.events.deliveries import Deliveries
    from dovetail.events.failure import Failed
    from dovetail.events.in_process import InProcessBusSettings

log = structlog.get_logger("dovetail")


@dataclass(slots=True)
class Envelope:
    """One event on its way to one group."""

    topic: str
    payload: bytes
    key: str | None
    attempts: int = 0


Lane: TypeAlias = "deque[Envelope]"
"""Events with one key, of which the first is being handled or waits for that; one event without."""


class Group:
    """Hands each event to one of its members, those with one key one after the other."""

    def __init__(
        self,
        topic: str,
        name: str,
        settings: InProcessBusSettings,
        deliveries: Deliveries,
        bury: Callable[[Envelope, Failed], None],
    ) -> None:
        self.topic = topic
        self.name = name
        self.pending = 0
        """Events that it has or has room reserved for."""
        self.members: set[Member] = set()
        self._settings = settings
        self._deliveries = deliveries
        self._bury = bury
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._ready: asyncio.Queue[Lane] = asyncio.Queue()
        self._lanes: dict[str, Lane] = {}
        self._retries: dict[int, asyncio.TimerHandle] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed = False

    def reserve_now(self) -> bool:
        """Reserve room for one event if there is any."""
        if self._waiting or self.pending >= self._settings.queue_size:
            return False
        self.pending += 1
        self._empty.clear()
        return True

    async def reserve(self, limit: float) -> None:
        """Reserve room for one event; first come, first served.

        Raises:
            BusFull: there was none within `limit` seconds.
        """
        if self.reserve_now():
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(limit):
                await waiter
        except BaseException as error:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif waiter.done() and not waiter.cancelled():
                self.release()
            if isinstance(error, TimeoutError):
                message = (
                    f"group `{self.name}` of `{self.topic}` has {self.pending} events waiting and "
                    f"took none off within {limit:g} s: its handlers are too slow, too few, or fail"
                )
                raise BusFull(message) from None
            raise

    def release(self) -> None:
        """Give room back that was reserved, to the next who waits for it."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self.pending -= 1
        if not self.pending:
            self._empty.set()

    def add(self, envelope: Envelope) -> None:
        """Take an event for which room was reserved."""
        if self._closed:
            self.release()
        elif envelope.key is None:
            self._ready.put_nowait(deque([envelope]))
        elif (lane := self._lanes.get(envelope.key)) is not None:
            lane.append(envelope)
        else:
            self._lanes[envelope.key] = lane = deque([envelope])
            self._ready.put_nowait(lane)

    async def drained(self) -> None:
        """Return when it has no event left."""
        await self._empty.wait()

    async def close(self) -> int:
        """End its members at once; how many events it still had."""
        self._closed = True
        for timer in self._retries.values():
            timer.cancel()
        self._retries.clear()
        own = asyncio.current_task()  # a handler may close its own subscription
        lost = self.pending - sum(member.task is own for member in self.members)
        await self.end([*self.members])
        while self._waiting:
            self.release()
        return lost

    def join(self, handler: BusHandler, leave: Callable[[Member], Any]) -> Member:
        """One more member, which `leave` takes out again."""
        member = Member(self.topic, self.name, handler, leave)
        self.members.add(member)
        member.task = asyncio.create_task(
            self._work(member), name=f"dovetail events {self.name} of {self.topic}"
        )
        return member

    async def end(self, members: list[Member]) -> None:
        """End members' tasks; what they have at hand is for the others."""
        self.members.difference_update(members)
        own = asyncio.current_task()
        left = await end_tasks(m.task for m in members if m.task is not own)
        if left:
            message = "a handler of events does not stop, and is left behind"
            log.error(message, topic=self.topic, group=self.name, count=len(left))

    async def _work(self, member: Member) -> None:
        count = 0
        while not member.leaving:
            count += 1
            if count % IN_A_ROW == 0:
                await asyncio.sleep(0)
            member.idle = True
            lane = await self._ready.get()
            member.idle = False
            try:
                failure = await self._attempt(member, lane[0])
            except BaseException:
                self._ready.put_nowait(lane)  # for another member, if there is one
                raise
            if failure is None:
                self._finished(lane)
            elif lane[0].attempts < self._settings.attempts:
                self._retry(lane)
            else:
                self._bury(lane[0], failure)
                self._finished(lane)

    async def _attempt(self, member: Member, envelope: Envelope) -> Failed | None:
        envelope.attempts += 1
        data = decode(envelope.payload)  # of its own: what a handler changes is changed for nobody
        event = BusEvent(envelope.topic, data, attempt=envelope.attempts, key=envelope.key)
        attempt = _Attempt()
        waiting = self._deliveries.begin(member.plan(self._settings), event, None, attempt)
        if waiting is not None:
            await waiting
        if attempt.failure is not None:
            message = "a handler of an event failed"
            log.warning(
                message,
                topic=envelope.topic,
                group=self.name,
                event_id=event.event_id,
                attempt=envelope.attempts,
                error=attempt.failure.words,
                where=attempt.failure.where,
            )
        return attempt.failure

    def _finished(self, lane: Lane) -> None:
        key = lane.popleft().key
        self.release()
        if lane:
            self._ready.put_nowait(lane)
        elif key is not None:
            del self._lanes[key]

    def _retry(self, lane: Lane) -> None:
        settings = self._settings
        wait = min(settings.first_wait * 2 ** (lane[0].attempts - 1), settings.longest_wait)
        wait = uniform(wait / 2, wait)  # noqa: S311 - no secret
        loop = asyncio.get_running_loop()
        self._retries[id(lane)] = loop.call_later(wait, self._again, lane)

    def _again(self, lane: Lane) -> None:
        del self._retries[id(lane)]
        self._ready.put_nowait(lane)


class Member(Subscription):
    """One handler in a group, and the task that calls it."""

    task: asyncio.Task[None]

    def __init__(
        self, topic: str, group: str, handler: BusHandler, leave: Callable[[Member], Any]
    ) -> None:
        self.topic = topic
        self.group = group
        self.idle = True
        """Whether it waits for an event."""
        self.leaving = False
        """Whether the event at hand is its last."""
        self._handler = handler
        self._leave = leave

    async def close(self) -> None:
        """Leave the group; see `Subscription.close`."""
        await self._leave(self)

    def plan(self, settings: InProcessBusSettings) -> Plan:
        """What calls the handler."""
        return Plan((self._call,), (self.group,), (settings.handler_timeout,))

    async def _call(self, event: BusEvent, _: Any) -> None:
        await self._handler(event)


class _Attempt:
    """Notes why a handler failed, if it did."""

    __slots__ = ("failure",)

    def __init__(self) -> None:
        self.failure: Failed | None = None

    def failed(self, event: Any, failure: Failed) -> None:
        """The handler failed."""
        self.failure = failure

    async def tell(self, event: Any, failures: list[Failed]) -> None:
        """Nobody else is told."""
