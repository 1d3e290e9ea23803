"""The kernel's own event bus: within one process, gone with it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import structlog
from pydantic import Field

from dovetail.errors import BusClosed
from dovetail.events.bus import BusEvent, BusSettings, EventBus
from dovetail.events.deliveries import Deliveries
from dovetail.events.group import Envelope, Group
from dovetail.events.wire import (
    DEAD,
    check_group,
    check_handler,
    check_key,
    check_topic,
    decode,
    encode,
    stamped,
    topic_matcher,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dovetail.events.bus import BusHandler, Subscription
    from dovetail.events.failure import Failed
    from dovetail.events.group import Member

log = structlog.get_logger("dovetail")

KNOWN_TOPICS = 1024
"""How many topics it remembers the groups of, and how many it keeps dead letters of."""
ROOM_FOR_ERROR = 16_384
"""How many bytes a dead letter may have more than the event."""


class InProcessBusSettings(BusSettings):
    """How much is kept."""

    queue_size: int = Field(
        default=1000, ge=1, le=1_000_000, description="How many events a group may have waiting."
    )


class InProcessEventBus(EventBus):
    """Carries events between the parts of one process.

    It behaves as a bus across a network does: events travel as JSON, and every group gets its own.
    A group exists as long as it has a member; what is published when there is none is for nobody.
    What waits when the bus stops is delivered within `drain_timeout`; the rest is counted and
    logged, and so is what a process that dies had.
    """

    name: ClassVar[str] = "in-process"
    settings: InProcessBusSettings

    def __init__(self, settings: InProcessBusSettings | None = None) -> None:
        self.settings = settings or InProcessBusSettings()
        self._deliveries = Deliveries()
        self._running = False
        self._groups: dict[tuple[str, str], tuple[Group, Callable[[str], object]]] = {}
        self._found: dict[str, tuple[Group, ...]] = {}
        """The groups of a topic."""
        self._dead: OrderedDict[str, deque[bytes]] = OrderedDict()

    async def start(self) -> None:
        """Take events from now on."""
        self._deliveries.look_often_enough(self.settings.handler_timeout)
        self._running = True

    async def stop(self) -> None:
        """Deliver what waits, within `drain_timeout`; until then handlers may still publish."""
        if not self._running:
            return
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.settings.drain_timeout):
                    while busy := [group for group, _ in self._groups.values() if group.pending]:
                        await busy[0].drained()
        finally:
            self._running = False
            groups = [group for group, _ in self._groups.values()]
            self._groups.clear()
            self._found.clear()
            await self._close(groups)
            self._deliveries.close()

    async def publish(self, topic: str, event: Mapping[str, Any], *, key: str | None = None) -> str:
        """Hand `event` to every group of `topic`; see `EventBus.publish`."""
        self._check_running()
        check_topic(topic)
        check_key(key)
        made = stamped(event)
        payload = encode(made, self.settings.max_event_bytes)
        groups = self._groups_of(topic)
        await self._reserve(groups)
        for group in groups:
            group.add(Envelope(topic, payload, key))
        event_id: str = made["event_id"]
        return event_id

    async def subscribe(self, topic: str, handler: BusHandler, *, group: str) -> Subscription:
        """Have `handler` called with events of `topic`; see `EventBus.subscribe`."""
        self._check_running()
        check_topic(topic, pattern=True)
        check_group(group)
        check_handler(handler)
        known = self._groups.get((topic, group))
        if known is None:
            made = Group(topic, group, self.settings, self._deliveries, self._bury)
            known = self._groups[topic, group] = made, topic_matcher(topic)
            self._found.clear()
        return known[0].join(handler, self._leave)

    async def dead_letters(self, topic: str, *, last: int = 100) -> Sequence[BusEvent]:
        """The latest events of `topic` that failed for good; see `EventBus.dead_letters`."""
        kept = self._dead.get(topic if topic.endswith(DEAD) else topic + DEAD, ())
        letters = [decode(payload) for payload in [*kept][max(len(kept) - last, 0) :]]
        return [BusEvent(letter["dead_letter"]["topic"] + DEAD, letter) for letter in letters]

    def _check_running(self) -> None:
        if not self._running:
            message = "the event bus does not run: `await bus.start()`, or use `async with bus:`"
            raise BusClosed(message)

    def _groups_of(self, topic: str) -> tuple[Group, ...]:
        found = self._found.get(topic)
        if found is None:
            if len(self._found) >= KNOWN_TOPICS:
                self._found.clear()
            found = tuple(group for group, wants in self._groups.values() if wants(topic))
            self._found[topic] = found
        return found

    async def _reserve(self, groups: tuple[Group, ...]) -> None:
        """Room in every group, or in none."""
        reserved: list[Group] = []
        deadline = asyncio.get_running_loop().time() + self.settings.publish_timeout
        try:
            for group in groups:
                if not group.reserve_now():
                    left = deadline - asyncio.get_running_loop().time()
                    await group.reserve(max(left, 0.0))
                reserved.append(group)
            self._check_running()  # it may have been stopped meanwhile
        except BaseException:
            for group in reserved:
                group.release()
            raise

    async def _leave(self, member: Member) -> None:
        """Take a member out of its group; the last one delivers first what the group has."""
        known = self._groups.get((member.topic, member.group))
        if known is None or member not in known[0].members or member.leaving:
            return
        group = known[0]
        member.leaving = True
        last = all(other.leaving for other in group.members)
        own = asyncio.current_task() is member.task
        if last:
            del self._groups[member.topic, member.group]
            self._found.clear()
            member.leaving = own
        if not own:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.settings.drain_timeout):
                    if last:
                        await group.drained()
                    elif not member.idle:
                        await asyncio.wait([member.task])
        await (self._close([group]) if last else group.end([member]))

    async def _close(self, groups: list[Group]) -> None:
        for group in groups:
            lost = await group.close()
            if lost:
                message = "events were not delivered before their group was gone"
                log.error(message, topic=group.topic, group=group.name, count=lost)

    def _bury(self, envelope: Envelope, failure: Failed) -> None:
        """A group could not handle it: it becomes a dead letter."""
        message = "an event could not be handled"
        data = decode(envelope.payload)
        about = {
            "topic": envelope.topic,
            "group": failure.provider,
            "attempts": envelope.attempts,
            "error": failure.words,
        }
        log.error(message, event_id=data["event_id"], **about)
        if envelope.topic.endswith(DEAD):
            return  # it is kept already
        most_bytes = self.settings.max_event_bytes + ROOM_FOR_ERROR
        letter = encode({**data, "dead_letter": about}, most_bytes)
        topic = envelope.topic + DEAD
        kept = self._dead.pop(topic, None) or deque(maxlen=self.settings.dead_letters)
        kept.append(letter)
        self._dead[topic] = kept  # the one that was used last
        if len(self._dead) > KNOWN_TOPICS:
            self._dead.popitem(last=False)
        for other in self._groups_of(topic):
            if other.reserve_now():
                other.add(Envelope(topic, letter, envelope.key))
            else:
                message = "a group has no room for a dead letter"
                log.error(message, topic=topic, group=other.name, event_id=data["event_id"])
