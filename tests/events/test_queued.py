"""Queued delivery: order, bounds, what happens when the queue is full, and the end of it."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from dovetail.context import ExecutionContext, current_context, set_current_context
from dovetail.events.dispatcher import EventDispatcher
from dovetail.events.registry import ProviderRegistry
from dovetail.middleware import Middleware
from tests.events.listeners import (
    Gated,
    Hanging,
    Listener,
    Marked,
    Raising,
    Stubborn,
    dispatcher,
)
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from dovetail.events.mailbox import Mailbox

SOON = 0.04
"""Seconds a handler has in these tests."""


def mailbox_of(told: EventDispatcher, name: str = "listener") -> Mailbox:
    (found,) = [item.mailbox for item in told.registry.registrations() if item.name == name]
    assert found is not None
    return found


def numbers(listener: Listener) -> list[Any]:
    return [item[1] for item in listener.heard if item[0] == "x"]


async def test_the_emitter_does_not_wait_and_the_order_is_kept() -> None:
    gated = Gated(delivery="queued")
    told = dispatcher(gated)
    for number in range(100):
        await told.dispatch("x", number)
    assert gated.heard == []
    assert len(mailbox_of(told)) == 100
    gated.gate.set()
    await told.registry.stop()
    assert numbers(gated) == [*range(100)]


async def test_one_that_emits_what_it_is_told_leaves_others_their_turn() -> None:
    class Echoing(Listener):
        delivery = "queued"

        async def handle_event(self, event: str, data: Any) -> None:
            if not self.heard:
                asyncio.get_running_loop().call_soon(lambda: turns.append(len(self.heard)))
            await super().handle_event(event, data)
            if len(self.heard) < 1000:
                await told.dispatch("x")

    turns: list[int] = []
    echoing = Echoing()
    told = dispatcher(echoing)
    await told.dispatch("x")
    await eventually(lambda: len(echoing.heard) == 1000)
    assert turns[0] <= 100
    await told.registry.stop()


async def test_a_slow_one_in_a_queue_does_not_hold_those_after_it() -> None:
    gated, after = Gated("gated", delivery="queued"), Listener("after")
    told = dispatcher(gated, after)
    await told.dispatch("x", 1)
    assert numbers(after) == [1]
    gated.gate.set()
    await told.registry.stop()


async def test_what_fails_in_a_queue_is_an_event_and_the_next_is_delivered() -> None:
    broken = Raising("broken", ["x"], delivery="queued")
    watch = Listener("watch", ["event_failed"])
    told = dispatcher(broken, watch)
    await told.dispatch("x", 1)
    await told.dispatch("x", 2)
    await eventually(lambda: len(watch.heard) == 2)
    assert numbers(broken) == [1, 2]
    assert watch.heard[0][1]["provider"] == "broken"
    await told.registry.stop()


async def test_one_that_hangs_is_cut_off_and_the_next_is_delivered() -> None:
    hanging = Hanging("listener", delivery="queued", handler_timeout=SOON)
    told = dispatcher(hanging)
    await told.dispatch("x", 1)
    await told.dispatch("x", 2)
    await eventually(lambda: hanging.heard == [("x", 1), "ended", ("x", 2), "ended"])
    await told.registry.stop()


async def test_one_that_swallows_cancellation_is_ended_and_the_next_is_delivered() -> None:
    stubborn = Stubborn("listener", delivery="queued", handler_timeout=SOON)
    told = dispatcher(stubborn)
    await told.dispatch("x", 1)
    await told.dispatch("x", 2)
    await eventually(lambda: numbers(stubborn) == [1, 2])
    assert await mailbox_of(told).close(limit=20) == 0


async def full(when_full: Any, **options: Any) -> tuple[EventDispatcher, Gated]:
    """A queue of two events that is full, and a third event at work."""
    gated = Gated(delivery="queued", queue_size=2, when_full=when_full, **options)
    told = dispatcher(gated)
    await told.dispatch("x", 0)
    await gated.came.wait()
    for number in (1, 2):
        await told.dispatch("x", number)
    return told, gated


async def test_when_full_the_newest_may_be_dropped() -> None:
    told, gated = await full("drop_newest")
    await told.dispatch("x", 3)
    gated.gate.set()
    await told.registry.stop()
    assert numbers(gated) == [0, 1, 2]
    assert mailbox_of(told).dropped == 1


async def test_when_full_the_oldest_may_be_dropped() -> None:
    told, gated = await full("drop_oldest")
    await told.dispatch("x", 3)
    gated.gate.set()
    await told.registry.stop()
    assert numbers(gated) == [0, 2, 3]
    assert mailbox_of(told).dropped == 1


async def test_when_full_emitters_may_wait_first_come_first_served() -> None:
    told, gated = await full("wait")
    emitters = [asyncio.create_task(told.dispatch("x", number)) for number in (3, 4, 5)]
    await eventually(lambda: len(mailbox_of(told)) == 5)
    assert not any(emitter.done() for emitter in emitters)
    gated.gate.set()
    await asyncio.gather(*emitters)
    await told.registry.stop()
    assert numbers(gated) == [0, 1, 2, 3, 4, 5]
    assert mailbox_of(told).dropped == 0


async def test_who_waits_too_long_has_its_event_dropped() -> None:
    told, gated = await full("wait", handler_timeout=SOON * 5)
    await told.dispatch("x", 3)
    assert mailbox_of(told).dropped == 1
    gated.gate.set()
    await told.registry.stop()
    assert 3 not in numbers(gated)


async def test_an_emitter_that_waits_for_room_can_be_cancelled() -> None:
    told, gated = await full("wait")
    emitter = asyncio.create_task(told.dispatch("x", 3))
    await eventually(lambda: len(mailbox_of(told)) == 3)
    emitter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await emitter
    gated.gate.set()
    await told.registry.stop()
    assert numbers(gated) == [0, 1, 2]


async def test_a_handler_that_emits_into_its_own_full_queue_does_not_wait_for_itself() -> None:
    class Echo(Listener):
        async def handle_event(self, event: str, data: Any) -> None:
            await super().handle_event(event, data)
            if data == "first":
                for number in range(4):
                    await told.dispatch("x", number)

    echo = Echo(delivery="queued", queue_size=2, handler_timeout=60)
    told = dispatcher(echo)
    async with asyncio.timeout(20):
        await told.dispatch("x", "first")
        await told.registry.stop()
    assert numbers(echo) == ["first", 0, 1]
    assert mailbox_of(told).dropped == 2


async def test_dropped_events_are_logged_at_most_once_a_second_and_counted() -> None:
    told, gated = await full("drop_newest")
    with capture_logs() as logs:
        for _ in range(1000):
            await told.dispatch("x")
        assert len(logs) <= 1 + 20  # however slow this machine is
        gated.gate.set()
        await told.registry.stop()
    assert sum(line["count"] for line in logs) == 1000
    assert {(line["provider"], line["why"]) for line in logs} <= {
        ("listener", "its queue is full"),
        ("listener", "its provider has stopped"),
    }


async def test_dropped_events_are_an_event_for_the_others() -> None:
    told, gated = await full("drop_newest")
    watch = Listener("watch", ["event_dropped"])
    told.registry.register(watch)
    for _ in range(10):
        await told.dispatch("x")
    gated.gate.set()
    await eventually(lambda: watch.heard)
    assert watch.heard == [
        ("event_dropped", {"provider": "listener", "count": 10, "dropped": 10}),
    ]
    assert "event_dropped" not in [name for name, _ in gated.heard]
    await told.registry.stop()


async def test_those_dropped_soon_after_are_told_of_when_a_second_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dovetail.events.mailbox.QUIET_SECONDS", 0.2)
    told, gated = await full("drop_newest")
    watch = Listener("watch", ["event_dropped"])
    told.registry.register(watch)
    gated.gate.set()
    for _ in range(2):
        for _ in range(4):
            await told.dispatch("x")
        await eventually(lambda: len(mailbox_of(told)) == 0)
    await eventually(lambda: sum(data["count"] for _, data in watch.heard) > 0)
    dropped = mailbox_of(told).dropped
    await eventually(lambda: sum(data["count"] for _, data in watch.heard) == dropped)
    await told.registry.stop()


async def test_two_queues_that_are_full_of_each_others_failures_do_not_hold_each_other() -> None:
    options: dict[str, Any] = {"delivery": "queued", "queue_size": 1, "handler_timeout": 60.0}
    first, second = Raising("first", **options), Raising("second", **options)
    told = dispatcher(first, second)
    async with asyncio.timeout(20):
        for _ in range(20):
            await told.dispatch("x")
        await told.registry.stop()
    assert numbers(first) == numbers(second) == [None] * 20


async def test_stopping_delivers_what_waits() -> None:
    slow = Gated(delivery="queued")
    told = dispatcher(slow)
    for number in range(10):
        await told.dispatch("x", number)
    slow.gate.set()
    assert await mailbox_of(told).close() == 0
    assert numbers(slow) == [*range(10)]


@pytest.mark.parametrize("kind", [Hanging, Stubborn])
async def test_what_a_stuck_provider_leaves_is_counted_and_logged(kind: type[Listener]) -> None:
    stuck = kind(delivery="queued", handler_timeout=SOON, drain_timeout=SOON / 4)
    told = dispatcher(stuck)
    for number in range(10):
        await told.dispatch("x", number)
    await eventually(lambda: stuck.heard)
    with capture_logs() as logs:
        async with asyncio.timeout(20):
            lost = await mailbox_of(told).close()
    undelivered = [line for line in logs if "not delivered" in line["event"]]
    assert [(line["provider"], line["count"]) for line in undelivered] == [("listener", lost)]
    assert lost + len(numbers(stuck)) in (10, 11)  # the one at work counts on both sides
    assert mailbox_of(told).dropped == lost


async def test_draining_waits_for_the_one_at_work_too() -> None:
    told, gated = await full("wait")
    assert await mailbox_of(told).drain(0) == 3
    gated.gate.set()
    assert await mailbox_of(told).drain(20) == 0
    assert numbers(gated) == [0, 1, 2]
    await told.registry.stop()


async def test_emitters_that_wait_for_room_are_let_go_when_it_stops() -> None:
    told, _gated = await full("wait", handler_timeout=60, drain_timeout=0)
    emitter = asyncio.create_task(told.dispatch("x", 3))
    await eventually(lambda: len(mailbox_of(told)) == 3)
    async with asyncio.timeout(20):
        assert await mailbox_of(told).close() == 4
        await emitter


async def test_events_that_come_after_the_end_are_dropped_and_harm_nobody() -> None:
    listener, after = Listener(delivery="queued"), Listener("after")
    told = dispatcher(listener, after)
    await mailbox_of(told).close()
    with capture_logs() as logs:
        await told.dispatch("x", 1)
    assert (listener.heard, numbers(after)) == ([], [1])
    assert mailbox_of(told).dropped == 1
    assert logs[0]["why"] == "its provider has stopped"
    assert await mailbox_of(told).close() == 0  # again


async def test_events_that_come_while_it_stops_are_dropped() -> None:
    told, gated = await full("wait")
    closing = asyncio.create_task(mailbox_of(told).close())
    await asyncio.sleep(0)
    await told.dispatch("x", 3)
    gated.gate.set()
    assert await closing == 0
    assert numbers(gated) == [0, 1, 2]


async def test_a_stop_that_is_broken_off_ends_its_task_all_the_same() -> None:
    told, _gated = await full("wait")
    before = asyncio.all_tasks()
    closing = asyncio.create_task(mailbox_of(told).close(limit=60))
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert [t.get_name() for t in before - asyncio.all_tasks()] == ["dovetail events listener"]


async def test_two_dispatchers_share_a_mailbox() -> None:
    """As when a config is reloaded: turns on the old one go on while new ones begin."""
    gated = Gated(delivery="queued")
    old = dispatcher(gated)
    registry = ProviderRegistry()
    registry.register(gated, mailbox=mailbox_of(old))
    new = EventDispatcher(registry)
    for number in range(4):
        await (old, new)[number % 2].dispatch("x", number)
    gated.gate.set()
    assert await mailbox_of(old).close() == 0
    assert numbers(gated) == [0, 1, 2, 3]


async def test_what_waits_is_delivered_through_the_latest_dispatchers_middleware() -> None:
    notes = []

    class Noting(Middleware):
        def __init__(self, label: str) -> None:
            self.label = label

        async def event(self, call: Any, call_next: Any) -> None:
            notes.append((self.label, call.event.data))
            await call_next(call)

    gated = Gated(delivery="queued")
    registry = dispatcher(gated).registry
    old = EventDispatcher(registry, [Noting("old")])
    await old.dispatch("x", 1)
    await gated.came.wait()
    await old.dispatch("x", 2)
    shared = ProviderRegistry()
    shared.register(gated, mailbox=mailbox_of(old))
    new = EventDispatcher(shared, [Noting("new")])
    gated.gate.set()
    await mailbox_of(new).close()
    assert notes == [("old", 1), ("new", 2)]


async def test_a_queued_handler_has_the_emitters_context_and_nothing_else_of_it() -> None:
    other: ContextVar[str] = ContextVar("other", default="none")
    seen: list[Any] = []

    class Looking(Listener):
        async def handle_event(self, event: str, data: Any) -> None:
            seen.append((current_context(), other.get()))

    told = dispatcher(Looking(delivery="queued"))
    contexts = [ExecutionContext(), ExecutionContext()]

    async def emit(context: ExecutionContext) -> None:
        set_current_context(context)
        other.set("the emitter's")
        await told.dispatch("x")

    for context in contexts:
        await asyncio.create_task(emit(context))
    await told.dispatch("x")
    await told.registry.stop()
    assert seen == [(contexts[0], "none"), (contexts[1], "none"), (None, "none")]


async def test_priority_orders_queues_as_it_does_all_else() -> None:
    heard: list[Any] = []
    told = dispatcher(
        Marked("late", heard=heard, priority=1),
        Marked("early", heard=heard, priority=-1, delivery="queued"),
    )
    await told.dispatch("x")
    await told.registry.stop()
    assert sorted(heard) == [("early", "x"), ("late", "x")]
