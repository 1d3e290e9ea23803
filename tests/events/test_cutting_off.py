"""A handler that takes too long is cut off, also one that does not want to be.

No test here says how soon, beyond that it ends.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from tests.events.listeners import Gated, Hanging, Listener, Stubborn, dispatcher
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from dovetail.events.dispatcher import EventDispatcher

SOON = 0.04
"""Seconds a handler has in these tests."""


async def dispatched(told: EventDispatcher) -> list[Any]:
    """What is logged of one dispatch."""
    async with asyncio.timeout(20):
        with capture_logs() as logs:
            await told.dispatch("x")
    return logs


async def test_a_handler_that_hangs_is_cut_off_and_the_next_is_told() -> None:
    hanging, after = Hanging("hanging", handler_timeout=SOON), Listener("after")
    (line,) = await dispatched(dispatcher(hanging, after))
    assert hanging.heard == [("x", None), "ended"]
    assert [name for name, _ in after.heard] == ["x", "event_failed"]
    assert line["error"] == "TimeoutError: it took longer than 0.04 s"
    assert line["where"].startswith("locks.py:")  # where it hung: in `asyncio.Event.wait`
    data = after.heard[1][1]
    assert (data["error"], data["provider"]) == ("TimeoutError", "hanging")
    assert data["seconds"] >= SOON


async def test_each_has_a_limit_of_its_own() -> None:
    quick, slow = Hanging("quick", handler_timeout=SOON), Gated("slow", handler_timeout=60)
    told = dispatcher(slow, quick)
    with capture_logs() as logs:
        emitter = asyncio.create_task(told.dispatch("x"))
        await slow.came.wait()
        await dispatched(dispatcher(Hanging(handler_timeout=SOON * 4)))  # time goes by
        assert not emitter.done()
        slow.gate.set()
        await emitter
    assert [line["provider"] for line in logs if line["provider"] != "listener"] == ["quick"]


async def test_the_emitter_does_not_look_cancelled_afterwards() -> None:
    hanging = Hanging(handler_timeout=SOON)
    await dispatched(dispatcher(hanging))
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)  # nothing is left to be delivered


async def test_a_limit_around_the_dispatch_still_works_after_one_was_cut_off() -> None:
    told = dispatcher(Hanging("a", handler_timeout=SOON), Hanging("b", handler_timeout=60))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON * 8):
            await told.dispatch("x")


async def test_one_that_swallows_it_and_returns_has_failed_all_the_same() -> None:
    stubborn = Stubborn("stubborn", handler_timeout=SOON, swallows=1)
    after = Listener("after", ["x"])
    logs = await dispatched(dispatcher(stubborn, after))
    assert [line["error"] for line in logs] == ["TimeoutError: it took longer than 0.04 s"]
    assert after.heard == [("x", None)]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_one_that_swallows_it_is_asked_again() -> None:
    stubborn = Stubborn("stubborn", handler_timeout=SOON, swallows=2)
    logs = await dispatched(dispatcher(stubborn))
    assert stubborn.swallowed == 2
    assert len(logs) == 1


async def test_one_that_goes_on_for_ever_is_ended() -> None:
    stubborn, after = Stubborn("stubborn", handler_timeout=SOON), Listener("after", ["x"])
    logs = await dispatched(dispatcher(stubborn, after))
    assert stubborn.swallowed == 2
    assert [line["event"] for line in logs] == [
        "an event provider swallows cancellation: its handler is ended",
        "an event provider failed",
    ]
    assert after.heard == [("x", None)]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_one_that_swallows_even_that_holds_its_emitter_only_as_long_as_it_lasts() -> None:
    class Worst(Listener):
        swallowed = 0

        async def handle_event(self, event: str, data: Any) -> None:
            while self.swallowed < 6:
                try:
                    await asyncio.Event().wait()
                except BaseException:  # noqa: BLE001 - that is the mistake
                    self.swallowed += 1

    worst, after = Worst("worst", handler_timeout=SOON), Listener("after", ["x"])
    await dispatched(dispatcher(worst, after))
    assert worst.swallowed == 6
    assert after.heard == [("x", None)]


async def test_several_that_hang_are_each_cut_off() -> None:
    hanging = [Hanging(str(number), handler_timeout=SOON) for number in range(3)]
    after = Listener("after", ["x"])
    logs = await dispatched(dispatcher(*hanging, after))
    assert [line["provider"] for line in logs if line["name"] == "x"] == ["0", "1", "2"]
    assert after.heard


async def test_an_emitter_that_is_cancelled_just_as_a_handler_is_cut_off_is_cancelled() -> None:
    class Tricky(Listener):
        """Has its emitter cancelled at the very moment at which it is cut off."""

        async def handle_event(self, event: str, data: Any) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                emitter.cancel()
                raise

    after = Listener("after")
    told = dispatcher(Tricky("tricky", handler_timeout=SOON), after)
    emitter = asyncio.create_task(told.dispatch("x"))
    with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        await emitter
    assert [line["error"] for line in logs] == ["TimeoutError: it took longer than 0.04 s"]
    assert after.heard == []


async def test_an_emitter_that_is_cancelled_is_not_held_by_a_slow_clean_up() -> None:
    class Slow(Listener):
        async def handle_event(self, event: str, data: Any) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                self.heard.append("cleaning up")
                await asyncio.Event().wait()

    slow = Slow(handler_timeout=SOON)
    emitter = asyncio.create_task(dispatcher(slow).dispatch("x"))
    await asyncio.sleep(0)
    emitter.cancel()
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await emitter
    assert slow.heard == ["cleaning up"]


async def test_a_handler_that_hangs_in_an_event_of_anothers_is_cut_off() -> None:
    class Outer(Listener):
        async def handle_event(self, event: str, data: Any) -> None:
            await told.dispatch("inner")
            self.heard.append("went on")

    outer = Outer("outer", ["x"], handler_timeout=60)
    inner = Hanging("inner", ["inner"], handler_timeout=SOON)
    told = dispatcher(outer, inner)
    await dispatched(told)
    assert outer.heard == ["went on"]
    assert inner.heard[-1] == "ended"


async def test_the_timer_rests_when_no_handler_is_at_work() -> None:
    gated = Gated(handler_timeout=SOON)
    told = dispatcher(gated)
    deliveries = vars(told)["_deliveries"]
    gated.gate.set()
    await told.dispatch("x")
    assert vars(deliveries)["_timer"] is None  # nobody had to wait
    hanging = Hanging("hanging", ["y"], handler_timeout=SOON)
    told.registry.register(hanging)
    await told.dispatch("y")
    assert vars(deliveries)["_timer"] is not None
    await eventually(lambda: vars(deliveries)["_timer"] is None)
    assert not vars(deliveries)["_under_way"]


async def test_closing_lets_the_timer_go() -> None:
    told = dispatcher(Hanging(handler_timeout=SOON))
    await told.dispatch("x")
    told.close()
    assert vars(vars(told)["_deliveries"])["_timer"] is None
    await dispatched(told)  # and it is there again when it is needed
