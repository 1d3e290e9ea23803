"""Whoever emits an event can be cancelled, whatever the provider at work makes of that."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from tests.events.listeners import Gated, Hanging, Listener, Raising, dispatcher
from tests.support.waiting import eventually


async def test_the_emitters_cancel_reaches_the_provider_at_work_and_passes_through() -> None:
    hanging, after = Hanging("hanging"), Listener("after")
    emitter = asyncio.create_task(dispatcher(hanging, after).dispatch("x"))
    await eventually(lambda: hanging.heard)
    emitter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await emitter
    assert hanging.heard == [("x", None), "ended"]
    assert after.heard == []  # it is not told, and nothing failed


async def test_an_emitters_cancel_that_a_provider_keeps_for_itself_comes_all_the_same() -> None:
    class Swallows(Listener):
        async def handle_event(self, event: str, data: Any) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.heard.append(event)

    swallows = Swallows()
    emitter = asyncio.create_task(dispatcher(swallows).dispatch("x"))
    await asyncio.sleep(0)
    emitter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await emitter
    assert swallows.heard == ["x"]


async def test_an_emitters_cancel_that_a_provider_makes_an_error_comes_all_the_same() -> None:
    class Converts(Listener):
        async def handle_event(self, event: str, data: Any) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ValueError("lost my connection") from None

    after = Listener("after")
    emitter = asyncio.create_task(dispatcher(Converts("converts"), after).dispatch("x"))
    await asyncio.sleep(0)
    emitter.cancel()
    with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        await emitter
    assert [line["error"] for line in logs] == ["ValueError: lost my connection"]
    assert after.heard == []


async def test_an_emitter_that_cancels_itself_is_cancelled() -> None:
    hanging = Hanging()

    async def emit() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await dispatcher(hanging).dispatch("x")

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(emit())


async def test_an_emitter_that_is_thrown_away_takes_the_handler_with_it() -> None:
    hanging = Hanging()
    told = dispatcher(hanging)
    emitting = told.dispatch("x")
    emitting.send(None)
    emitting.close()
    assert hanging.heard == [("x", None), "ended"]


async def test_events_can_be_emitted_while_a_cancelled_task_cleans_up() -> None:
    slow, inventing = Gated("slow"), Raising("inventing", error=asyncio.CancelledError())
    slow.gate.set()
    told, said = dispatcher(slow, inventing), []

    async def emit() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await told.dispatch("cleaned_up")
            said.append("after")

    emitter = asyncio.create_task(emit())
    await asyncio.sleep(0)
    emitter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await emitter
    assert said == ["after"]
    assert slow.heard[0] == ("cleaned_up", None)


async def test_a_limit_of_the_emitters_own_works_around_a_provider() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await dispatcher(Hanging()).dispatch("x")


async def test_a_scope_of_anyio_works_around_a_provider() -> None:
    hanging, after = Hanging("hanging"), Listener("after")
    with anyio.move_on_after(0.01) as scope:
        await dispatcher(hanging, after).dispatch("x")
    assert scope.cancelled_caught
    assert (hanging.heard[-1], after.heard) == ("ended", [])
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_provider_may_use_scopes_of_anyio() -> None:
    class Scoped(Listener):
        async def handle_event(self, event: str, data: Any) -> None:
            with anyio.move_on_after(0.01):
                await anyio.sleep_forever()
            with anyio.fail_after(0.01):
                await anyio.sleep_forever()

    after = Listener("after", ["x"])
    with capture_logs() as logs:
        await dispatcher(Scoped("scoped"), after).dispatch("x")
    assert [line["error"] for line in logs] == ["TimeoutError"]
    assert after.heard == [("x", None)]


async def test_a_limit_of_the_providers_own_is_its_failure() -> None:
    class Limited(Listener):
        async def handle_event(self, event: str, data: Any) -> None:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()

    after = Listener("after", ["x"])
    with capture_logs() as logs:
        await dispatcher(Limited("limited"), after).dispatch("x")
    assert [line["error"] for line in logs] == ["TimeoutError"]
    assert after.heard
