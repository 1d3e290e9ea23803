"""`EventPublisher`, `EventConsumer`, and the publisher for tests."""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from dovetail.errors import BusClosed, BusFull, EventError
from dovetail.events.consumer import REMEMBERED, EventConsumer
from dovetail.events.in_process import InProcessBusSettings, InProcessEventBus
from dovetail.events.publisher import EventPublisher
from dovetail.testing.events import MockEventPublisher
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def bus() -> AsyncIterator[InProcessEventBus]:
    settings = InProcessBusSettings(attempts=3, first_wait=0.001, handler_timeout=0.3)
    async with InProcessEventBus(settings) as bus:
        yield bus


class Noting:
    """A handler that notes events, and fails as often as it is told to."""

    def __init__(self, fails: int = 0) -> None:
        self.events: list[dict[str, Any]] = []
        self.fails = fails

    async def __call__(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        if len(self.events) <= self.fails:
            raise ValueError("not yet")


async def test_a_published_event_is_given_an_id_and_a_time(bus: InProcessEventBus) -> None:
    noting, given = Noting(), {"memory_id": "m-1"}
    consumer = EventConsumer(bus, "extractors", ["memory.created"])
    consumer.register_handler(topic="memory.created", handler_func=noting)
    await consumer.start()
    await EventPublisher(bus).publish(topic="memory.created", event=given)
    await eventually(lambda: noting.events)
    event = noting.events[0]
    assert event["memory_id"] == "m-1"
    assert UUID(event["event_id"]).version == 7
    assert datetime.fromisoformat(event["timestamp"]).tzinfo is not None
    assert given == {"memory_id": "m-1"}


async def test_a_consumer_gets_the_events_of_its_topics_until_it_stops(
    bus: InProcessEventBus,
) -> None:
    noting, publisher = Noting(), EventPublisher(bus)
    consumer = EventConsumer(bus, "g", ["memory.*"])
    consumer.register_handler("memory.created", noting)
    states = [consumer.running]
    async with consumer:
        states.append(consumer.running)
        await publisher.publish("memory.created", {"n": 1})
        await publisher.publish("memory.deleted", {"n": 2})
        await publisher.publish("agent.created", {"n": 3})
    states.append(consumer.running)
    assert states == [False, True, False]
    await publisher.publish("memory.created", {"n": 4})
    await bus.stop()
    assert [event["n"] for event in noting.events] == [1]


async def test_handlers_may_be_registered_while_it_runs(bus: InProcessEventBus) -> None:
    noting = Noting()
    async with EventConsumer(bus, "g", ["memory.*"]) as consumer:
        consumer.register_handler("memory.c*", noting)
        await EventPublisher(bus).publish("memory.created", {})
    assert len(noting.events) == 1


async def test_without_topics_it_subscribes_to_those_of_its_handlers(
    bus: InProcessEventBus,
) -> None:
    one, other = Noting(), Noting()
    consumer = EventConsumer(bus, "g")
    consumer.register_handler("a", one)
    consumer.register_handler("b", other)
    async with consumer:
        for topic in ("a", "b", "c"):
            await EventPublisher(bus).publish(topic, {"topic": topic})
    assert [e["topic"] for e in one.events + other.events] == ["a", "b"]


async def test_a_handler_that_would_never_be_called_is_refused(bus: InProcessEventBus) -> None:
    consumer = EventConsumer(bus, "g", ["memory.created"])
    with pytest.raises(EventError, match=r"subscribed to `memory.created`, so a handler for `memo"):
        consumer.register_handler("memory.create", Noting())
    later = EventConsumer(bus, "g")
    later.register_handler("a", Noting())
    async with later:
        with pytest.raises(EventError, match="would never be called"):
            later.register_handler("b", Noting())


async def test_a_consumer_of_nothing_is_refused(bus: InProcessEventBus) -> None:
    with pytest.raises(EventError, match="a consumer without topics"):
        await EventConsumer(bus, "g").start()


async def test_a_consumer_of_a_bus_that_does_not_run_does_not_run() -> None:
    consumer = EventConsumer(InProcessEventBus(), "g", ["a"])
    with pytest.raises(BusClosed):
        await consumer.start()
    assert not consumer.running


async def test_each_of_several_handlers_is_called_until_it_has_done_with_the_event(
    bus: InProcessEventBus,
) -> None:
    fine, late, later = Noting(), Noting(fails=1), Noting(fails=2)
    consumer = EventConsumer(bus, "g", ["a"])
    for handler in (fine, late, later):
        consumer.register_handler("a", handler)
    async with consumer:
        await EventPublisher(bus).publish("a", {})
        await eventually(lambda: len(later.events) == 3)
    assert [len(handler.events) for handler in (fine, late, later)] == [1, 2, 3]
    assert await bus.dead_letters("a") == []


async def test_a_handler_that_hangs_does_not_keep_the_event_from_the_others(
    bus: InProcessEventBus,
) -> None:
    noting = Noting()

    async def hangs(_: dict[str, Any]) -> None:
        await asyncio.Event().wait()

    consumer = EventConsumer(bus, "g", ["a"])
    consumer.register_handler("a", hangs)
    consumer.register_handler("a", noting)
    async with consumer:
        await EventPublisher(bus).publish("a", {})
    assert len(noting.events) == 1
    assert [letter.topic for letter in await bus.dead_letters("a")] == ["a.dead"]


async def test_what_failed_is_told_of_all_handlers(bus: InProcessEventBus) -> None:
    consumer = EventConsumer(bus, "g", ["a"])
    for _ in range(2):
        consumer.register_handler("a", Noting(fails=99))

    async def leaves(_: dict[str, Any]) -> None:
        raise SystemExit(3)

    consumer.register_handler("a", leaves)
    async with consumer:
        await EventPublisher(bus).publish("a", {})
    (letter,) = await bus.dead_letters("a")
    assert letter.data["dead_letter"]["error"] == (
        "ValueError: not yet; ValueError: not yet; a handler of events raised SystemExit"
    )


async def test_handlers_do_not_share_the_event(bus: InProcessEventBus) -> None:
    seen = []

    async def greedy(event: dict[str, Any]) -> None:
        seen.append(event["list"].copy())
        event["list"].append("more")

    consumer = EventConsumer(bus, "g", ["a"])
    consumer.register_handler("a", greedy)
    consumer.register_handler("a", partial(greedy))
    async with consumer:
        await EventPublisher(bus).publish("a", {"list": []})
    assert seen == [[], []]


async def test_events_that_fail_for_ever_take_no_endless_memory(bus: InProcessEventBus) -> None:
    consumer = EventConsumer(bus, "g", ["a"])
    consumer.register_handler("a", Noting(fails=10**9))
    remember = vars(EventConsumer)["_remember"]
    for number in range(REMEMBERED + 10):
        remember(consumer, ("a", str(number)), set())
    assert len(vars(consumer)["_done"]) == REMEMBERED


async def test_the_publisher_for_tests_keeps_what_it_is_told() -> None:
    publisher = MockEventPublisher()
    event_id = await publisher.publish(topic="agent.created", event={"agent_id": "a-1"})
    await publisher.publish("memory.created", {"memory_id": "m-1"}, key="m-1")
    assert len(publisher.published_events) == 2
    assert publisher.published_events[0]["topic"] == "agent.created"
    assert publisher.published_events[1]["topic"] == "memory.created"
    assert publisher.published_events[1]["key"] == "m-1"
    (event,) = publisher.published("agent.created")
    assert (event["agent_id"], event["event_id"]) == ("a-1", event_id)
    assert isinstance(publisher, EventPublisher)


async def test_the_publisher_for_tests_refuses_what_a_bus_refuses() -> None:
    publisher = MockEventPublisher()
    with pytest.raises(EventError):
        await publisher.publish("a b", {})
    with pytest.raises(EventError):
        await publisher.publish("a", {"a": object()})
    publisher.error = BusFull("full")
    with pytest.raises(BusFull):
        await publisher.publish("a", {})
    assert publisher.published_events == []
