"""What the in-process bus does beside the contract: bounds, and its end."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from dovetail.errors import BusClosed, BusFull, EventError
from dovetail.events.in_process import KNOWN_TOPICS, InProcessBusSettings, InProcessEventBus
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dovetail.events.bus import BusEvent, Subscription


@asynccontextmanager
async def a_bus(**settings: Any) -> AsyncIterator[InProcessEventBus]:
    values = {"attempts": 2, "first_wait": "1ms", "drain_timeout": 20, **settings}
    async with InProcessEventBus(InProcessBusSettings.model_validate(values)) as bus:
        yield bus


class Gate:
    """A handler that waits until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.came = asyncio.Event()
        self.seen: list[Any] = []

    async def __call__(self, event: BusEvent) -> None:
        self.came.set()
        await self.open.wait()
        self.seen.append(event.data["n"])


async def test_it_works_with_no_settings_at_all() -> None:
    gate = Gate()
    gate.open.set()
    async with InProcessEventBus() as bus:
        await bus.subscribe("a", gate, group="g")
        await bus.publish("a", {"n": 1})
    assert gate.seen == [1]


async def test_a_handler_that_publishes_what_it_is_given_leaves_others_their_turn() -> None:
    turns: list[int] = []
    seen: list[Any] = []

    async def handle(event: BusEvent) -> None:
        if not seen:
            asyncio.get_running_loop().call_soon(lambda: turns.append(len(seen)))
        seen.append(event.data)
        if len(seen) < 1000:
            await bus.publish("a", {})

    async with a_bus() as bus:
        await bus.subscribe("a", handle, group="g")
        await bus.publish("a", {})
    assert len(seen) == 1000
    assert turns[0] <= 100


async def test_an_event_that_nobody_could_read_again_is_refused() -> None:
    gate = Gate()
    gate.open.set()
    async with a_bus() as bus:
        await bus.subscribe("a", gate, group="g")
        for depth in (100, 300, 900, 950, 975, *range(976, 1000)):
            nested: list[Any] = []
            for _ in range(depth):
                nested = [nested]
            with suppress(EventError):  # from a task of its own, it has more of the stack than they
                await asyncio.create_task(bus.publish("a", {"n": depth, "nested": nested}))
        await bus.publish("a", {"n": "after"})
    assert gate.seen == [100, "after"]


async def test_it_must_be_started() -> None:
    with pytest.raises(BusClosed, match=r"`await bus.start\(\)`"):
        await InProcessEventBus().publish("a", {})


async def test_what_is_published_to_nobody_is_for_nobody() -> None:
    gate = Gate()
    async with a_bus() as bus:
        await bus.publish("a", {"n": 1})
        await bus.subscribe("a", gate, group="g")
        gate.open.set()
        await bus.publish("a", {"n": 2})
    assert gate.seen == [2]


async def test_publishing_waits_for_room() -> None:
    gate = Gate()
    async with a_bus(queue_size=2) as bus:
        await bus.subscribe("a", gate, group="g")
        for number in range(2):
            await bus.publish("a", {"n": number})
        waiting = [asyncio.create_task(bus.publish("a", {"n": n})) for n in (2, 3, 4)]
        await gate.came.wait()
        assert not any(task.done() for task in waiting)
        gate.open.set()
        await asyncio.gather(*waiting)
    assert gate.seen == [0, 1, 2, 3, 4]


async def test_a_group_that_stays_full_refuses_and_no_group_has_the_event() -> None:
    slow, quick = Gate(), Gate()
    quick.open.set()
    async with a_bus(queue_size=1, publish_timeout="20ms") as bus:
        await bus.subscribe("a*", quick, group="quick")
        await bus.subscribe("a", slow, group="slow")
        await bus.publish("a", {"n": 1})
        with pytest.raises(BusFull, match="group `slow` of `a` has 1 events waiting"):
            await bus.publish("a", {"n": 2})
        slow.open.set()
        await eventually(lambda: slow.seen == [1])
        await bus.publish("a", {"n": 3})  # the room that was reserved elsewhere is free again
    assert quick.seen == slow.seen == [1, 3]


async def test_who_waits_for_room_can_be_cancelled() -> None:
    gate = Gate()
    async with a_bus(queue_size=1) as bus:
        await bus.subscribe("a", gate, group="g")
        await bus.publish("a", {"n": 1})
        waiting = asyncio.create_task(bus.publish("a", {"n": 2}))
        await gate.came.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        gate.open.set()
        await bus.publish("a", {"n": 3})
    assert gate.seen == [1, 3]


async def test_events_with_one_key_wait_for_room_as_others_do() -> None:
    gate = Gate()
    async with a_bus(queue_size=2) as bus:
        await bus.subscribe("a", gate, group="g")
        for number in range(2):
            await bus.publish("a", {"n": number}, key="k")
        waiting = asyncio.create_task(bus.publish("a", {"n": 2}, key="k"))
        await gate.came.wait()
        gate.open.set()
        await waiting
    assert gate.seen == [0, 1, 2]


async def test_a_handler_that_publishes_into_its_own_full_group_is_refused() -> None:
    errors: list[BusFull] = []

    async def handler(event: BusEvent) -> None:
        if event.data["n"] == 1:
            try:
                await bus.publish("a", {"n": 2})
            except BusFull as error:
                errors.append(error)

    async with a_bus(queue_size=1, publish_timeout="10ms") as bus:
        await bus.subscribe("a", handler, group="g")
        await bus.publish("a", {"n": 1})
    assert len(errors) == 1


async def test_handlers_may_publish_while_it_stops() -> None:
    seen = []

    async def created(event: BusEvent) -> None:
        await bus.publish("memory.extracted", {"n": event.data["n"]})

    async def extracted(event: BusEvent) -> None:
        seen.append(event.data["n"])

    bus = InProcessEventBus()
    await bus.start()
    await bus.subscribe("memory.extracted", extracted, group="g")
    await bus.subscribe("memory.created", created, group="g")
    for number in range(10):
        await bus.publish("memory.created", {"n": number})
    await bus.stop()
    assert seen == [*range(10)]


async def test_what_cannot_be_delivered_before_it_stops_is_counted_and_logged() -> None:
    gate = Gate()
    with capture_logs() as logs:
        async with a_bus(drain_timeout="10ms") as bus:
            await bus.subscribe("a", gate, group="g")
            for number in range(5):
                await bus.publish("a", {"n": number})
    assert [(x["topic"], x["group"], x["count"]) for x in logs] == [("a", "g", 5)]
    assert gate.seen == []


async def test_a_handler_that_does_not_end_does_not_keep_it_from_stopping() -> None:
    swallowed = 0

    async def handler(_: BusEvent) -> None:
        nonlocal swallowed
        while swallowed < 50:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1

    async with asyncio.timeout(30):
        async with a_bus(drain_timeout="10ms", handler_timeout="50ms") as bus:
            await bus.subscribe("a", handler, group="g")
            await bus.publish("a", {})
    assert swallowed


async def test_a_stop_that_is_broken_off_ends_its_members_all_the_same() -> None:
    gate = Gate()
    before = asyncio.all_tasks()
    bus = InProcessEventBus(InProcessBusSettings(drain_timeout=60))
    await bus.start()
    await bus.subscribe("a", gate, group="g")
    await bus.publish("a", {"n": 1})
    stopping = asyncio.create_task(bus.stop())
    await gate.came.wait()
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert asyncio.all_tasks() == before


async def test_the_last_member_delivers_what_its_group_has_before_it_leaves() -> None:
    gate = Gate()
    async with a_bus() as bus:
        subscription = await bus.subscribe("a", gate, group="g")
        for number in range(5):
            await bus.publish("a", {"n": number})
        closing = asyncio.create_task(subscription.close())
        await gate.came.wait()
        await bus.publish("a", {"n": 99})  # it has left: this is for nobody
        gate.open.set()
        await closing
        assert gate.seen == [0, 1, 2, 3, 4]


async def test_who_publishes_as_the_last_member_leaves_is_not_held() -> None:
    gate = Gate()
    async with a_bus(queue_size=1, drain_timeout="10ms") as bus:
        subscription = await bus.subscribe("a", gate, group="g")
        await bus.publish("a", {"n": 1})
        waiting = asyncio.create_task(bus.publish("a", {"n": 2}))
        await gate.came.wait()
        await subscription.close()
        await waiting
    assert gate.seen == []


async def test_what_a_leaving_member_has_at_hand_goes_to_another() -> None:
    stuck, other = Gate(), Gate()
    other.open.set()
    async with a_bus(drain_timeout="10ms") as bus:
        leaving = await bus.subscribe("a", stuck, group="g")
        await bus.publish("a", {"n": 1})
        await stuck.came.wait()
        await bus.subscribe("a", other, group="g")
        await leaving.close()
        await eventually(lambda: other.seen == [1])
    assert stuck.seen == []


@pytest.mark.parametrize("members", [1, 2])
async def test_a_handler_may_close_its_own_subscription(members: int) -> None:
    subscriptions: list[Subscription] = []
    seen = []

    async def once(event: BusEvent) -> None:
        seen.append(event.data["n"])
        await subscriptions[0].close()

    async def other(event: BusEvent) -> None:
        seen.append(event.data["n"])

    async with a_bus() as bus, asyncio.timeout(20):
        subscriptions.append(await bus.subscribe("a", once, group="g"))
        await bus.publish("a", {"n": 1})
        await eventually(lambda: seen == [1])
        if members == 2:
            await bus.subscribe("a", other, group="g")
        await bus.publish("a", {"n": 2})
    assert seen == [1, 2][:members]


async def test_dead_letters_are_bounded_and_the_oldest_go() -> None:
    async def fails(_: BusEvent) -> None:
        raise ValueError("never")

    async with a_bus(attempts=1, dead_letters=3) as bus:
        await bus.subscribe("a", fails, group="g")
        for number in range(10):
            await bus.publish("a", {"n": number})
        await bus.stop()
        assert [letter.data["n"] for letter in await bus.dead_letters("a")] == [7, 8, 9]
        assert await bus.dead_letters("a.dead") != []
        assert await bus.dead_letters("b") == []


async def test_dead_letters_of_endlessly_many_topics_take_no_endless_memory() -> None:
    async def fails(_: BusEvent) -> None:
        raise ValueError("never")

    async with a_bus(attempts=1) as bus:
        await bus.subscribe("t*", fails, group="g")
        for number in range(KNOWN_TOPICS + 10):
            await bus.publish(f"t{number}", {})
        await bus.stop()
        assert await bus.dead_letters("t0") == []
        assert len(await bus.dead_letters(f"t{KNOWN_TOPICS + 9}")) == 1
        assert len(vars(bus)["_found"]) <= KNOWN_TOPICS


async def test_a_dead_letter_that_fails_too_begets_no_other() -> None:
    attempts = []

    async def fails(event: BusEvent) -> None:
        attempts.append((event.topic, event.attempt))
        raise ValueError("never")

    async with a_bus() as bus:
        for topic in ("a", "a.dead"):
            await bus.subscribe(topic, fails, group="g")
        await bus.publish("a", {})
        await bus.stop()
        assert attempts == [("a", 1), ("a", 2), ("a.dead", 1), ("a.dead", 2)]
        assert len(await bus.dead_letters("a")) == 1
        assert await bus.dead_letters("a.dead.dead") == []


async def test_a_dead_letter_that_a_group_has_no_room_for_is_logged_and_shown() -> None:
    async def fail(event: BusEvent) -> None:
        raise ValueError("broken")

    gate = Gate()
    async with a_bus(attempts=1, queue_size=1) as bus:
        await bus.subscribe("a", fail, group="g")
        await bus.subscribe("a.dead", gate, group="mourners")
        with capture_logs() as logs:
            await bus.publish("a", {"n": 0})
            await gate.came.wait()
            event_id = await bus.publish("a", {"n": 1})
            await eventually(lambda: any("no room" in line["event"] for line in logs))
        (line,) = [line for line in logs if "no room" in line["event"]]
        assert (line["topic"], line["group"], line["event_id"]) == ("a.dead", "mourners", event_id)
        assert [letter.data["n"] for letter in await bus.dead_letters("a")] == [0, 1]
        gate.open.set()
    assert gate.seen == [0]


async def test_an_event_as_long_as_allowed_can_become_a_dead_letter() -> None:
    async def fails(_: BusEvent) -> None:
        raise ValueError("\x00" * 100_000)

    async with a_bus(attempts=1, max_event_bytes=2048) as bus:
        await bus.subscribe("a", fails, group="g")
        await bus.publish("a", {"text": "x" * 1900})
        with pytest.raises(EventError, match="more than the 2,048"):
            await bus.publish("a", {"text": "x" * 2048})
        await bus.stop()
        assert len(await bus.dead_letters("a")) == 1


async def test_failures_are_logged_without_secrets() -> None:
    async def fails(_: BusEvent) -> None:
        raise ValueError("cannot log in with password=hunter2hunter2")

    with capture_logs() as logs:
        async with a_bus() as bus:
            await bus.subscribe("a", fails, group="g")
            event_id = await bus.publish("a", {"token": "tell nobody"})
    assert [(x["log_level"], x.get("attempt"), x["event_id"]) for x in logs] == [
        ("warning", 1, event_id),
        ("warning", 2, event_id),
        ("error", None, event_id),
    ]
    assert "hunter2" not in str(logs)
    assert "tell nobody" not in str(logs)


async def test_a_plain_function_is_no_handler_and_its_dead_letter_says_so() -> None:
    async with a_bus(attempts=1) as bus:
        await bus.subscribe("a", lambda _: None, group="g")  # type: ignore[arg-type,return-value]
        with pytest.raises(EventError, match="a handler of events is an `async def` function"):
            await bus.subscribe("a", None, group="g")  # type: ignore[arg-type]
        await bus.publish("a", {})
        await bus.stop()
        (letter,) = await bus.dead_letters("a")
    assert "can't be used in 'await' expression" in letter.data["dead_letter"]["error"]
