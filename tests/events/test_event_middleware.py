"""Middleware around the deliveries of events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from dovetail.context import ExecutionContext, set_current_context
from dovetail.events.dispatcher import EventDispatcher
from dovetail.events.event import Event
from dovetail.middleware import EventCall, Middleware
from tests.events.listeners import Listener, dispatcher
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Step = Callable[[EventCall], Awaitable[None]]


class Wrapping(Middleware):
    """A middleware that notes what passes."""

    def __init__(self, label: str, notes: list[Any]) -> None:
        self.label = label
        self.notes = notes

    async def event(self, call: EventCall, call_next: Step) -> None:
        self.notes.append((self.label, call.event.name, call.provider))
        await call_next(call)
        self.notes.append((self.label, "done"))


def wrapped(*middleware: Any, providers: tuple[Listener, ...]) -> EventDispatcher:
    return EventDispatcher(dispatcher(*providers).registry, middleware)


async def test_middleware_wraps_every_delivery_outermost_first() -> None:
    notes: list[Any] = []
    told = wrapped(
        Wrapping("out", notes), Wrapping("in", notes), providers=(Listener("a"), Listener("b"))
    )
    await told.dispatch("x")
    assert notes == [
        ("out", "x", "a"),
        ("in", "x", "a"),
        ("in", "done"),
        ("out", "done"),
        ("out", "x", "b"),
        ("in", "x", "b"),
        ("in", "done"),
        ("out", "done"),
    ]


@pytest.mark.parametrize("delivery", ["inline", "queued"])
async def test_middleware_sees_one_event_and_the_emitters_context(delivery: str) -> None:
    calls: list[EventCall] = []

    class Noting(Middleware):
        async def event(self, call: EventCall, call_next: Step) -> None:
            calls.append(call)
            await call_next(call)

    told = wrapped(Noting(), providers=(Listener("a", delivery=delivery), Listener("b")))
    context = ExecutionContext(user_id="ada")

    async def emit() -> None:
        set_current_context(context)
        await told.dispatch("x", 1, metadata={"shop": "north"})

    await asyncio.create_task(emit())
    await eventually(lambda: len(calls) == 2)
    assert {call.provider for call in calls} == {"a", "b"}
    assert calls[0].event is calls[1].event
    assert calls[0].event.metadata == {"shop": "north"}
    assert [call.context for call in calls] == [context, context]
    await told.registry.stop()


async def test_middleware_may_replace_the_event_or_keep_it() -> None:
    class Masking(Middleware):
        async def event(self, call: EventCall, call_next: Step) -> None:
            if call.event.name == "secret":
                return
            call.event = Event(call.event.name, "***")
            await call_next(call)

    listener = Listener()
    told = wrapped(Masking(), providers=(listener,))
    await told.dispatch("secret", "a")
    await told.dispatch("x", "b")
    assert listener.heard == [("x", "***")]


async def test_middleware_that_raises_fails_the_delivery_alone() -> None:
    class Broken(Middleware):
        async def event(self, call: EventCall, call_next: Step) -> None:
            raise ValueError("broken middleware")

    listener = Listener()
    with capture_logs() as logs:
        await wrapped(Broken(), providers=(listener,)).dispatch("x")
    assert listener.heard == []
    assert logs[0]["error"] == "ValueError: broken middleware"


async def test_another_way_to_compose_middleware_can_be_given() -> None:
    notes: list[Any] = []

    def backwards(middleware: Any, terminal: Step) -> Step:
        async def step(call: EventCall) -> None:
            notes.append([item.label for item in reversed(middleware)])
            await terminal(call)

        return step

    listener = Listener()
    registry = dispatcher(listener).registry
    told = EventDispatcher(
        registry, [Wrapping("a", notes), Wrapping("b", notes)], compose=backwards
    )
    await told.dispatch("x")
    assert (notes, listener.heard) == ([["b", "a"]], [("x", None)])
