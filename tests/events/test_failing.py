"""A provider that fails harms nobody; it is logged, and an event for the others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.events.listeners import Listener, Raising, dispatcher


async def test_a_provider_that_raises_harms_neither_emitter_nor_the_next() -> None:
    after = Listener("after", ["x"])
    await dispatcher(Raising("broken"), after).dispatch("x", 1)
    assert after.heard == [("x", 1)]


class Own(BaseException):
    """No `Exception`."""


@pytest.mark.parametrize(
    "error",
    [
        Own("odd"),
        SystemExit(3),
        StopIteration(),
        StopAsyncIteration(),
        asyncio.CancelledError(),
        TimeoutError(),
        ExceptionGroup("several", [ValueError("a"), KeyError("b")]),
    ],
    ids=lambda e: type(e).__name__,
)
@pytest.mark.parametrize("pauses", [False, True], ids=["at once", "later"])
async def test_whatever_it_raises_is_a_failure_of_the_provider_alone(
    error: BaseException, pauses: bool
) -> None:
    class Broken(Listener):
        async def handle_event(self, event: str, data: Any) -> None:
            if pauses:
                await asyncio.sleep(0)
            raise error

    after = Listener("after", ["x", "event_failed"])
    await dispatcher(Broken("broken"), after).dispatch("x")
    assert [event for event, _ in after.heard] == ["x", "event_failed"]
    raised = "RuntimeError" if isinstance(error, StopIteration) else type(error).__name__
    if isinstance(error, StopAsyncIteration):
        raised = after.heard[1][1]["error"]  # Python may wrap it
    assert after.heard[1][1]["error"] == raised


async def test_ctrl_c_in_a_provider_is_not_its_failure() -> None:
    told = dispatcher(Raising("a", error=KeyboardInterrupt()))
    coroutine = told.dispatch("x")
    with pytest.raises(KeyboardInterrupt):
        coroutine.send(None)  # a task would end the program with it, as it should


async def test_a_handler_that_is_no_coroutine_function_is_a_failure_that_says_so() -> None:
    class Plain(Listener):
        def handle_event(self, event: str, data: Any) -> None:  # type: ignore[override]
            self.heard.append(event)

    with capture_logs() as logs:
        await dispatcher(Plain()).dispatch("x")
    assert "can't be used in 'await' expression" in logs[0]["error"]


async def test_a_handler_may_return_any_awaitable() -> None:
    class Future(Listener):
        def handle_event(self, event: str, data: Any) -> Any:
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.set_result, None)
            future.add_done_callback(lambda _: self.heard.append(event))
            return future

    listener = Future()
    await dispatcher(listener).dispatch("x")
    assert listener.heard == ["x"]


async def test_a_failure_is_logged_with_its_place_and_without_secrets() -> None:
    error = ValueError("cannot log in with password=hunter2hunter2")
    with capture_logs() as logs:
        await dispatcher(Raising("broken", error=error)).dispatch("x", {"token": "abc"})
    (line,) = logs
    assert (line["log_level"], line["provider"], line["name"]) == ("error", "broken", "x")
    assert line["where"].startswith("listeners.py:")
    assert line["error"] == "ValueError: cannot log in with password=***"


async def test_a_failure_is_an_event_for_the_others() -> None:
    watch, broken = Listener("watch", ["event_failed"]), Raising("broken", ["x", "event_failed"])
    await dispatcher(watch, broken).dispatch("x")
    ((name, data),) = watch.heard
    assert name == "event_failed"
    assert data["seconds"] >= 0
    assert (data["event"], data["provider"], data["error"]) == ("x", "broken", "ValueError")
    assert data["error_message"] == "ValueError: broken"
    assert broken.heard == [("x", None)]  # nobody is told of its own failure


async def test_a_long_error_is_told_shortened() -> None:
    watch = Listener("watch", ["event_failed"])
    broken = Raising("broken", ["x"], error=ValueError("long " * 1_000_000))
    await dispatcher(watch, broken).dispatch("x")
    assert len(watch.heard[0][1]["error_message"]) <= 1000


async def test_who_fails_at_a_failure_is_only_logged() -> None:
    first, second = Raising("first"), Raising("second")
    with capture_logs() as logs:
        await dispatcher(first, second).dispatch("x")
    assert [name for name, _ in first.heard] == ["x", "event_failed"]
    assert [name for name, _ in second.heard] == ["x", "event_failed"]
    assert [(line["provider"], line["name"]) for line in logs] == [
        ("first", "x"),
        ("second", "x"),
        ("second", "event_failed"),
        ("first", "event_failed"),
    ]
