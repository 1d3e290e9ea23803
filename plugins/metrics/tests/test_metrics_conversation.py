"""The numbers of real conversations, as the page shows them."""

from typing import Any

import pytest

from dovetail import (
    ChatMessage,
    ChatResponse,
    EventProvider,
    NotReady,
    ProviderUnavailable,
    RateLimited,
    SessionBusy,
    Usage,
)
from dovetail.testing import FakeModel, Gate
from plugins.metrics.tests.conftest import Open
from plugins.metrics.tests.pages import page_of, provider_of

DURATION = "gen_ai_client_operation_duration_seconds"
FIRST_CHUNK = "gen_ai_client_operation_time_to_first_chunk_seconds"
TOKENS = "gen_ai_client_token_usage"
TURNS = "dovetail_turn_duration_seconds"


def answer(text: str, **usage: Any) -> ChatResponse:
    return ChatResponse(
        message=ChatMessage.assistant(text), usage=Usage(**usage), model="fake-1-2026"
    )


async def test_calls_and_their_tokens_are_counted(open_kernel: Open, model: FakeModel) -> None:
    model.will_say(
        answer("one", prompt_tokens=30, completion_tokens=5),
        answer("two", prompt_tokens=100, completion_tokens=7),
    )
    async with open_kernel() as kernel:
        await kernel.chat("hello", session="s", user="ada")
        await kernel.chat("hello again", session="s", user="ada")
        page = await page_of(kernel)
    call = {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "fake",
        "gen_ai_request_model": "fake-1",
        "gen_ai_response_model": "fake-1-2026",
    }
    assert page(f"{DURATION}_count", **call) == 2
    assert 0 < page(f"{DURATION}_sum", **call) < 60
    assert page(f"{TOKENS}_sum", **call, gen_ai_token_type="input") == 130
    assert page(f"{TOKENS}_sum", **call, gen_ai_token_type="output") == 12
    assert page(f"{TOKENS}_count", **call, gen_ai_token_type="input") == 2
    assert page(f"{TOKENS}_bucket", **call, gen_ai_token_type="input", le="64.0") == 1
    assert page(f"{TOKENS}_bucket", **call, gen_ai_token_type="input", le="256.0") == 2
    assert page(f"{TURNS}_count", finish_reason="stop") == 2
    assert page("dovetail_session_events_total", event="created") == 1
    assert "ada" not in str(page)


async def test_only_streams_have_a_first_chunk(open_kernel: Open) -> None:
    async with open_kernel() as kernel:
        await kernel.chat("hello")
        assert not (await page_of(kernel)).all(f"{FIRST_CHUNK}_count")
        async with kernel.stream("hello") as stream:
            assert [chunk async for chunk in stream]
        page = await page_of(kernel)
    assert page(f"{FIRST_CHUNK}_count", gen_ai_provider_name="fake") == 1
    assert page(f"{FIRST_CHUNK}_sum") <= page(f"{DURATION}_sum")


async def test_embeddings_go_by_the_name_of_the_conventions(open_kernel: Open) -> None:
    async with open_kernel() as kernel:
        await kernel.embed(["two words", "three words more"])
        page = await page_of(kernel)
    assert page(f"{DURATION}_count", gen_ai_operation_name="embeddings") == 1
    assert page(f"{TOKENS}_sum", gen_ai_operation_name="embeddings") == 5


async def test_errors_are_counted_by_their_type(open_kernel: Open, model: FakeModel) -> None:
    model.will_say(
        ProviderUnavailable("it is away"), RateLimited("slow down"), RateLimited("slower"), "fine"
    )
    async with open_kernel() as kernel:
        for _ in range(3):
            with pytest.raises((ProviderUnavailable, RateLimited)):
                await kernel.chat("hello")
        await kernel.chat("hello")
        page = await page_of(kernel)
    expected = {"ProviderUnavailable": 1, "RateLimited": 2, "": 1}
    assert page.values(f"{DURATION}_count", "error_type") == expected
    assert page.values(f"{TURNS}_count", "error_type") == expected
    assert page.values(f"{TURNS}_count", "finish_reason") == {"error": 3, "stop": 1}


async def test_a_call_that_failed_has_no_model_that_answered(
    open_kernel: Open, model: FakeModel
) -> None:
    model.will_say(ProviderUnavailable("it is away"))
    async with open_kernel() as kernel:
        with pytest.raises(ProviderUnavailable):
            await kernel.chat("hello")
        [labels] = (await page_of(kernel)).all(f"{DURATION}_count")
    assert dict(labels) == {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "fake",
        "gen_ai_request_model": "fake-1",
        "error_type": "ProviderUnavailable",
    }


async def test_turns_in_flight_are_shown(open_kernel: Open, model: FakeModel) -> None:
    gate = Gate()
    model.will_say(["one ", gate, "two"])
    async with open_kernel() as kernel:
        async with kernel.stream("hello") as stream:
            await anext(aiter(stream))
            assert (await page_of(kernel))("dovetail_turns_active") == 1
        page = await page_of(kernel)
    assert page("dovetail_turns_active") == 0
    assert page(f"{TURNS}_count", finish_reason="cancelled", error_type="CancelledError") == 1


async def test_what_calls_cost_is_added_up(open_kernel: Open, model: FakeModel) -> None:
    model.will_say(
        answer("one", prompt_tokens=1_000_000, completion_tokens=100_000),
        answer("two", prompt_tokens=1_000_000, cached_tokens=800_000),
    )
    prices = {"fake-1*": {"input": 3.0, "output": 15.0, "cached_input": 0.5}}
    async with open_kernel(prices=prices, currency="EUR") as kernel:
        await kernel.chat("hello")
        await kernel.chat("hello")
        page = await page_of(kernel)
        assert provider_of(kernel).metrics["cost"] == pytest.approx([4.5, 1.0])
    [(labels, cost)] = page.all("dovetail_cost_total").items()
    assert cost == pytest.approx(5.5)
    assert dict(labels) == {
        "currency": "EUR",
        "gen_ai_provider_name": "fake",
        "gen_ai_response_model": "fake-1-2026",
    }


async def test_the_life_of_sessions_is_counted(open_kernel: Open, model: FakeModel) -> None:
    gate = Gate()
    model.will_say("hi", ["one ", gate])
    async with open_kernel(sessions={"max_waiting": 0}) as kernel:
        await kernel.chat("hello", session="s")
        await kernel.sessions.delete_session("s")
        async with kernel.stream("wait", session="t") as stream:
            await anext(aiter(stream))
            with pytest.raises(SessionBusy):
                await kernel.chat("too", session="t")
        await kernel.publish("session_expired", {"count": 3})
        page = await page_of(kernel)
    assert page.values("dovetail_session_events_total", "event") == {
        "created": 2,
        "deleted": 1,
        "expired": 3,
        "busy": 1,
    }


async def test_what_became_of_components_is_counted(open_kernel: Open) -> None:
    class Late(EventProvider):
        events = ("agent_start",)

        async def initialize(self) -> None:
            raise NotReady("its server is asleep")

        async def handle_event(self, event: str, data: Any) -> None:
            raise AssertionError

    late = {"use": "more:late", "optional": True}
    async with open_kernel(Late, providers={"late": late}) as kernel:
        page = await page_of(kernel)
    assert page("dovetail_plugins_started_total", plugin="fake", table="[providers.fake]") == 1
    failed = {"plugin": "more", "stage": "start", "error_type": "NotReady"}
    assert page("dovetail_plugins_failed_total", **failed) == 1


async def test_event_providers_that_fail_are_counted(open_kernel: Open) -> None:
    class Raises(EventProvider):
        events = ("agent_start",)

        async def handle_event(self, event: str, data: Any) -> None:
            raise RuntimeError("broken")

    async with open_kernel(Raises) as kernel:
        await kernel.chat("hello")
        page = await page_of(kernel)
    assert page("dovetail_events_failed_total", provider="raises", error_type="RuntimeError") == 1


async def test_tools_and_stages_are_measured_when_they_are_told_of(open_kernel: Open) -> None:
    async with open_kernel() as kernel:
        await kernel.publish("tool_execute", {"tool": "search", "duration": 1.5})
        await kernel.publish(
            "tool_execute", {"tool": "search", "seconds": 3.0, "error": "ValueError"}
        )
        await kernel.publish("stage_complete", {"stage": "RESPONSE", "seconds": 0.25})
        page = await page_of(kernel)
    tool = "gen_ai_execute_tool_duration_seconds"
    assert page(f"{tool}_sum", gen_ai_tool_name="search") == 4.5
    assert page.values(f"{tool}_count", "error_type") == {"": 1, "ValueError": 1}
    assert page("dovetail_stage_duration_seconds_sum", stage="RESPONSE") == 0.25
