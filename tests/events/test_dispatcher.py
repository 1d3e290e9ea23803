"""Telling providers of events: who, in which order, what."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from dovetail.events.dispatcher import EventDispatcher
from dovetail.events.event import Event
from dovetail.events.registry import KNOWN_NAMES, ProviderRegistry
from tests.events.listeners import Gated, Hanging, Listener, Marked, Raising, dispatcher
from tests.support.waiting import eventually


async def test_a_provider_is_told_the_name_and_the_very_data() -> None:
    listener, data = Listener(), {"a": 1}
    await dispatcher(listener).dispatch("x", data)
    assert listener.heard == [("x", data)]
    assert listener.heard[0][1] is data


async def test_an_event_may_be_dispatched_whole() -> None:
    listener = Listener()
    await dispatcher(listener).dispatch(Event("x", [1]))
    assert listener.heard == [("x", [1])]


async def test_providers_are_told_one_after_the_other_in_order() -> None:
    heard: list[Any] = []
    last = Marked("last", heard=heard, priority=5)
    first = Gated("first", heard=heard, priority=-5)
    telling = asyncio.create_task(dispatcher(last, first).dispatch("x"))
    await first.came.wait()
    assert heard == []
    first.gate.set()
    await telling
    assert heard == [("x", None), ("last", "x")]


async def test_one_who_is_registered_later_is_told_from_then_on() -> None:
    registry, late = ProviderRegistry(), Listener()
    told = EventDispatcher(registry)
    await told.dispatch("x", 1)
    registry.register(late)
    await told.dispatch("x", 2)
    registry.unregister("listener")
    await told.dispatch("x", 3)
    assert late.heard == [("x", 2)]


async def test_wants_says_whether_anybody_is_told() -> None:
    registry = ProviderRegistry()
    told = EventDispatcher(registry)
    assert not told.wants("agent_start")
    registry.register(Listener(events=["agent_*"]))
    assert told.wants("agent_start")
    assert not told.wants("model_complete")


async def test_an_event_that_nobody_wants_is_told_to_nobody() -> None:
    listener = Listener(events=["y"])
    await dispatcher(listener).dispatch("x", 1)
    assert listener.heard == []


async def test_endless_new_names_take_no_endless_memory() -> None:
    told = dispatcher(Listener())
    for number in range(KNOWN_NAMES * 2):
        await told.dispatch(f"x{number}")
    assert len(vars(told)["_plans"]) <= KNOWN_NAMES


@pytest.mark.parametrize("wrong", [None, 7, b"x"])
async def test_what_is_no_name_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="an event is an `Event` or its name"):
        await dispatcher(Listener()).dispatch(wrong)


@pytest.mark.parametrize(
    "data",
    [None, [1], {"deep": {"set": {1, 2}}}, {1, 2}, object(), b"\x00" * 50_000_000],
    ids=["None", "list", "dict", "set", "object", "huge"],
)
@pytest.mark.parametrize("delivery", ["inline", "queued"])
async def test_data_of_any_kind_arrives_as_it_is(data: Any, delivery: str) -> None:
    listener, broken = Listener("a", delivery=delivery), Raising("b", events=["x"])
    told = dispatcher(listener, broken)
    with capture_logs() as logs:
        await told.dispatch("x", data)
    await eventually(lambda: len(listener.heard) == 2)
    assert listener.heard[0][1] is data
    assert all(len(str(line)) < 1000 for line in logs)
    assert "data" not in listener.heard[1][1]
    await told.registry.stop()


async def test_a_handler_may_emit_events() -> None:
    class Echo(Listener):
        async def handle_event(self, event: str, data: Any) -> None:
            await super().handle_event(event, data)
            if event == "x":
                await told.dispatch("y", data)

    echo, other = Echo("echo", ["x"]), Marked("other")
    told = dispatcher(echo, other)
    await told.dispatch("x")
    assert other.heard == [("other", "y"), ("other", "x")]


async def test_many_emitters_at_once_do_not_mix() -> None:
    class Slow(Listener):
        async def handle_event(self, event: str, data: Any) -> None:
            await asyncio.sleep(0)
            await super().handle_event(event, data)

    slow, quick = Slow("slow"), Listener("quick")
    told = dispatcher(slow, quick)
    await asyncio.gather(*(told.dispatch("x", number) for number in range(200)))
    assert sorted(d for _, d in slow.heard) == sorted(d for _, d in quick.heard) == [*range(200)]


async def test_a_provider_that_waits_needs_a_task_to_wait_in() -> None:
    emitting = dispatcher(Hanging()).dispatch("x")
    refused: list[BaseException] = []

    def outside() -> None:
        try:
            emitting.send(None)
        except RuntimeError as error:
            refused.append(error)

    asyncio.get_running_loop().call_soon(outside)
    await eventually(lambda: refused)
    assert "inside a task" in str(refused[0])


def test_it_may_be_used_on_one_loop_after_another() -> None:
    hanging = Hanging(handler_timeout=0.02)
    told = dispatcher(hanging)
    for times in (1, 2):
        asyncio.run(told.dispatch("x"))
        assert hanging.heard == [("x", None), "ended"] * times
