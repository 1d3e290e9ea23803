"""What an `EventBus` promises; `events/bus.py` says the same in words."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from dovetail.errors import BusClosed, EventError
from dovetail.events.bus import BusEvent
from dovetail.events.consumer import EventConsumer
from dovetail.events.publisher import EventPublisher
from dovetail.ids import new_id
from dovetail.testing.event_bus_failing import FailingHandlersContract
from dovetail.testing.leaks import Census

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dovetail.events.bus import EventBus

DATA: dict[str, Any] = {
    "text": 'a "quoted" \\ text\nof two lines, \x00 and 🌱',
    "lone surrogate": "\ud83c",
    "number": 12345678901234567890,
    "fraction": 0.1,
    "nothing": None,
    "list": [1, [True, False], {}],
    "deep": {"a": {"b": {"c": []}}},
    "": "an empty key",
}


class EventBusContract(FailingHandlersContract):
    """Subclass it, and give a fixture `bus`.

    It yields a bus that was started, with `attempts` of at least 3, a `first_wait` of some
    milliseconds and a `handler_timeout` of less than a second. Topics are the tests' own, so that
    a server may be shared by them all.
    """

    many: ClassVar[int] = 500
    """How many events the tests of throughput publish."""

    async def test_an_event_arrives_as_it_was_published(self, bus: EventBus) -> None:
        """`data` is equal to what was published, whatever JSON can hold, and has its two stamps.

        Mend: use `encode` and `decode` of `dovetail.events.wire`, and change nothing between.
        """
        topic = self.topic()
        async with self.listening(bus, topic) as heard:
            event_id = await bus.publish(topic, DATA)
            event = await self.first(heard)
        stamps = {"event_id", "timestamp"}
        given = {key: value for key, value in event.data.items() if key not in stamps}
        assert given == DATA, f"it came as {given}"
        assert event.data["event_id"] == event_id
        assert (event.topic, event.event_id, event.attempt) == (topic, event_id, 1)
        assert event.timestamp.tzinfo is UTC, f"its time is {event.timestamp!r}"

    async def test_stamps_that_are_there_are_kept(self, bus: EventBus) -> None:
        """An `event_id` and a `timestamp` that the publisher gave are the event's.

        Mend: add them with `stamped` of `dovetail.events.wire`.
        """
        topic, given = self.topic(), {"event_id": "my-1", "timestamp": "2026-01-31T12:00:00+02:00"}
        async with self.listening(bus, topic) as heard:
            assert await bus.publish(topic, given) == "my-1"
            event = await self.first(heard)
        assert event.data == given
        assert event.timestamp.isoformat() == "2026-01-31T10:00:00+00:00"

    async def test_every_group_gets_every_event(self, bus: EventBus) -> None:
        """Groups know nothing of one another.

        Mend: one cursor or queue for each group.
        """
        topic = self.topic()
        async with (
            self.listening(bus, topic, group="one") as one,
            self.listening(bus, topic, group="two") as two,
        ):
            for number in range(10):
                await bus.publish(topic, {"n": number})
            await self.enough(one, 10)
            await self.enough(two, 10)
        assert _numbers(one) == _numbers(two) == [*range(10)]

    async def test_one_member_of_a_group_gets_each_event(self, bus: EventBus) -> None:
        """What one member has, the others of its group do not get.

        Mend: members of a group share one cursor or queue.
        """
        topic = self.topic()
        async with (
            self.listening(bus, topic) as one,
            self.listening(bus, topic) as other,
        ):
            for number in range(40):
                await bus.publish(topic, {"n": number})
            await self.enough(one, 40, other)
        assert sorted(_numbers(one) + _numbers(other)) == [*range(40)]

    async def test_topics_do_not_mix(self, bus: EventBus) -> None:
        """A subscriber gets the events of its topic alone.

        Mend: compare whole topics: `a.b` is not `a.bc`.
        """
        topic = self.topic()
        async with self.listening(bus, topic) as heard:
            for other in (f"{topic}x", f"{topic}.x", topic[:-1], topic):
                await bus.publish(other, {"topic": other})
            await self.enough(heard, 1)
            await bus.publish(topic, {"topic": topic})
            await self.enough(heard, 2)
        assert [event.data["topic"] for event in heard] == [topic, topic]

    async def test_a_pattern_subscribes_to_many_topics(self, bus: EventBus) -> None:
        """`*` stands for any text, dots included.

        Mend: filter by `topic_matcher` of `dovetail.events.wire` what the server cannot filter.
        """
        topic = self.topic()
        async with self.listening(bus, f"{topic}.*") as heard:
            for end in (".created", ".entity.extracted", "", "x.created"):
                await bus.publish(topic + end, {"end": end})
            await self.enough(heard, 2)
        assert sorted(event.data["end"] for event in heard) == [".created", ".entity.extracted"]

    async def test_events_with_one_key_come_in_order(self, bus: EventBus) -> None:
        """In a group of several members too, and also if a handler takes its time.

        Mend: give events with one key to one member after the other.
        """
        topic, seen = self.topic(), dict[str, list[int]]()

        async def handler(event: BusEvent) -> None:
            await asyncio.sleep(0.001 * (event.data["n"] % 3))
            assert event.key is not None
            seen.setdefault(event.key, []).append(event.data["n"])

        subscriptions = [await bus.subscribe(topic, handler, group="g") for _ in range(3)]
        for number in range(60):
            await bus.publish(topic, {"n": number}, key=f"k{number % 4}")
        await self.until(lambda: sum(map(len, seen.values())) >= 60, "not all events came")
        for subscription in subscriptions:
            await subscription.close()
        for key, numbers in seen.items():
            assert numbers == [*range(int(key[1:]), 60, 4)], f"{key} came as {numbers}"

    async def test_none_of_many_is_lost(self, bus: EventBus) -> None:
        """Events that many publish at once all come.

        Mend: acknowledge when the handler has returned, never before.
        """
        topic = self.topic()
        async with (
            self.listening(bus, topic) as one,
            self.listening(bus, topic) as other,
        ):
            await asyncio.gather(*(bus.publish(topic, {"n": n}) for n in range(self.many)))
            await self.enough(one, self.many, other)
        assert {*_numbers(one), *_numbers(other)} == {*range(self.many)}

    async def test_what_a_handler_changes_is_its_own(self, bus: EventBus) -> None:
        """The mapping that a handler gets belongs to it: not to other groups, nor the publisher.

        Mend: `decode` anew for each delivery.
        """
        topic, given = self.topic(), {"list": [1]}
        seen: list[Any] = []

        async def handler(event: BusEvent) -> None:
            seen.append(event.data["list"].copy())
            event.data["list"].append(2)
            if event.attempt == 1:
                raise ValueError("once more")

        for group in ("one", "two"):
            await bus.subscribe(topic, handler, group=group)
        await bus.publish(topic, given)
        given["list"].append(3)
        await self.until(lambda: len(seen) >= 4, "it was not given to both groups twice")
        assert seen == [[1]] * 4, f"they got {seen}"

    async def test_what_no_bus_can_carry_is_refused(self, bus: EventBus) -> None:
        """What is nothing that JSON has, too long, or no topic, is an `EventError` at once.

        Mend: use `check_topic`, `check_group`, `check_key`, `stamped` and `encode` of
        `dovetail.events.wire`.
        """
        topic = self.topic()
        loop: list[Any] = []
        loop.append(loop)
        wrong: list[Any] = [
            {"a": object()},
            {"a": float("nan")},
            {"a": loop},
            {("a", "b"): 1},
            {"event_id": 7},
            {"event_id": ""},
            {"timestamp": "yesterday"},
            {"timestamp": "2026-01-31T12:00:00"},
            {"text": "x" * 2_000_000},
            [1],
            None,
        ]
        for event in wrong:
            with pytest.raises(EventError):
                await bus.publish(topic, event)
        for name in ("", "a b", "a*", "a/b", "ä", "x" * 300, None):
            with pytest.raises(EventError):
                await bus.publish(name, {})  # type: ignore[arg-type]
        with pytest.raises(EventError):
            await bus.publish(topic, {}, key=7)  # type: ignore[arg-type]
        with pytest.raises(EventError):
            await bus.subscribe("a b", _ignore, group="g")
        with pytest.raises(EventError):
            await bus.subscribe(topic, _ignore, group="a b")

    async def test_who_has_left_gets_nothing(self, bus: EventBus) -> None:
        """After `close()` the handler is not called; the others of its group go on.

        Mend: stop taking before `close()` returns, and give back what was taken and not handled.
        """
        topic, gone = self.topic(), list[BusEvent]()

        async def handler(event: BusEvent) -> None:
            gone.append(event)

        leaving = await bus.subscribe(topic, handler, group="g")
        async with self.listening(bus, topic, group="g") as heard:
            await leaving.close()
            for number in range(20):
                await bus.publish(topic, {"n": number})
            await self.enough(heard, 20)
        assert not gone
        await leaving.close()  # again

    async def test_stopping_delivers_what_was_published(self, bus: EventBus) -> None:
        """What `publish` has taken is delivered before `stop()` returns, or by the next start.

        Mend: drain in `stop()`; what cannot be drained must stay with the server.
        """
        topic, seen = self.topic(), list[int]()

        async def handler(event: BusEvent) -> None:
            await asyncio.sleep(0)
            seen.append(event.data["n"])

        await bus.subscribe(topic, handler, group="g")
        for number in range(50):
            await bus.publish(topic, {"n": number})
        async with self.in_time("it did not stop"):
            await bus.stop()
        assert {*seen} == {*range(50)}, f"{len(seen)} of 50 came"

    async def test_a_bus_that_has_stopped_says_so(self, bus: EventBus) -> None:
        """`publish` and `subscribe` raise `BusClosed`; `stop()` again is safe; so is a new start.

        Mend: raise it before anything else is looked at.
        """
        topic = self.topic()
        await bus.stop()
        await bus.stop()
        with pytest.raises(BusClosed):
            await bus.publish(topic, {})
        with pytest.raises(BusClosed):
            await bus.subscribe(topic, _ignore, group="g")
        await bus.start()
        async with self.listening(bus, topic) as heard:
            await bus.publish(topic, {})
            await self.enough(heard, 1)

    async def test_stopping_leaves_nothing_behind(self, bus: EventBus) -> None:
        """Stopped after use, it leaves no task, thread, file or socket.

        Mend: end in `stop()` the tasks of every subscription, and await them.
        """
        await bus.stop()
        times = 3
        census = Census.take()
        for _ in range(times):
            await bus.start()
            async with self.listening(bus, topic := self.topic()) as heard:
                await bus.publish(topic, {})
                await self.enough(heard, 1)
                await bus.stop()
        left = await census.settled(times)
        assert not left, f"starting and stopping it {times} times left {'; '.join(left)}"

    async def test_its_two_faces_work(self, bus: EventBus) -> None:
        """`EventPublisher` and `EventConsumer` need nothing of a bus but what it promises.

        Mend: see the other tests.
        """
        topic, seen = self.topic(), list[dict[str, Any]]()

        async def handler(event: dict[str, Any]) -> None:
            seen.append(event)

        consumer = EventConsumer(bus, "g", [topic])
        consumer.register_handler(topic, handler)
        async with consumer:
            event_id = await EventPublisher(bus).publish(topic, {"memory_id": "m-1"})
            await self.until(lambda: seen, "the consumer's handler was not called")
        assert seen[0]["memory_id"] == "m-1"
        assert seen[0]["event_id"] == event_id

    @asynccontextmanager
    async def listening(
        self, bus: EventBus, topic: str, *, group: str = "g"
    ) -> AsyncIterator[list[BusEvent]]:
        """A subscription for the body of the `with`; the list of what came."""
        heard: list[BusEvent] = []

        async def handler(event: BusEvent) -> None:
            heard.append(event)
            await asyncio.sleep(0)

        subscription = await bus.subscribe(topic, handler, group=group)
        try:
            yield heard
        finally:
            async with self.in_time("the subscription did not close"):
                await subscription.close()

    async def first(self, heard: list[BusEvent]) -> BusEvent:
        """The first event, once it has come."""
        await self.enough(heard, 1)
        return heard[0]

    async def enough(self, heard: list[BusEvent], count: int, *others: list[BusEvent]) -> None:
        """Return when `count` events have come in all; then none may come unasked."""
        lists = (heard, *others)
        await self.until(
            lambda: sum(map(len, lists)) >= count, f"{count} events did not come to {len(lists)}"
        )

    def topic(self) -> str:
        """A topic that nobody has used."""
        return f"contract.{new_id()}"


async def _ignore(event: BusEvent) -> None:
    """A handler for what is never published."""


def _numbers(heard: list[BusEvent]) -> list[int]:
    return [event.data["n"] for event in heard]
