"""What was decided about a call is in the log, in the answer and in the error."""

import asyncio
from typing import Any

import pytest

from dovetail import ExecutionContext, ProviderUnavailable, RateLimited
from dovetail.testing import Gate
from plugins.resilience.tests.asking import Ask, Model, Open, chat


def down() -> ProviderUnavailable:
    return ProviderUnavailable("it is down", status=503)


async def test_a_call_that_simply_succeeds_says_nothing(
    running: Open, ask: Ask, lines: list[Any]
) -> None:
    limits = [{"concurrent": 9, "requests_per_minute": 99, "tokens_per_minute": 99_999}]
    async with running(limits=limits) as kernel:
        response = await ask(kernel)
    assert "resilience" not in response.metadata
    assert lines == []


async def test_a_retry_is_in_the_log_and_in_the_answer(
    running: Open, main: Model, ask: Ask, lines: list[Any]
) -> None:
    async with running() as kernel:
        main.will_fail(RateLimited("slow down", status=429, retry_after=2.0))
        response = await ask(kernel)
    noted = response.metadata["resilience"]
    (decision,) = map(dict, noted["decisions"])
    wait = decision.pop("wait_s")
    assert 2 <= wait <= 2.2
    assert noted["waited_s"] == wait
    assert noted["attempts"] == 2
    assert decision == {
        "decision": "retry",
        "provider": "main",
        "model": "one",
        "attempt": 1,
        "reason": "retry_after",
        "error": "RateLimited",
        "message": "slow down",
        "status": 429,
    }
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("resilience.retry", "warning")
    assert {**decision, "wait_s": wait}.items() - {("decision", "retry")} <= line.items()


async def test_lines_bear_the_id_of_the_request(
    running: Open, main: Model, lines: list[Any]
) -> None:
    async with running() as kernel:
        main.will_say(down())
        response = await kernel.chat("Hello", context=ExecutionContext(request_id="r-1"))
    assert response.request_id == "r-1"
    assert {line["request_id"] for line in lines} == {"r-1"}


async def test_what_was_decided_is_in_the_error(
    running: Open, main: Model, ask: Ask, lines: list[Any]
) -> None:
    async with running(attempts=2) as kernel:
        main.will_fail(down(), down())
        with pytest.raises(ProviderUnavailable) as caught:
            await ask(kernel)
    noted = vars(caught.value)["metadata"]["resilience"]
    assert noted["attempts"] == 2
    assert [d["decision"] for d in noted["decisions"]] == ["retry", "gave_up"]
    assert noted["decisions"][-1]["reason"] == "attempts"
    assert [line["event"] for line in lines] == ["resilience.retry", "resilience.gave_up"]


async def test_a_wait_for_a_limit_is_noted(running: Open, main: Model, lines: list[Any]) -> None:
    gate = Gate()
    async with running(limits=[{"instance": "main", "concurrent": 1}]) as kernel:
        main.will_say(gate)
        first = asyncio.create_task(chat(kernel))
        await gate.reached()
        second = asyncio.create_task(chat(kernel))
        await asyncio.sleep(3)
        gate.open()
        await first
        response = await second
    wanted = {"provider": "main", "limit": "concurrent", "wait_s": 3.0}
    (decision,) = response.metadata["resilience"]["decisions"]
    assert decision == {"decision": "waited_for_limit", **wanted}
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("resilience.waited_for_limit", "info")
    assert wanted.items() <= line.items()


async def test_no_line_and_no_note_holds_a_secret(
    running: Open, main: Model, lines: list[Any]
) -> None:
    key = "sk-proj-0123456789abcdefghijklmnopqrstuv"
    async with running() as kernel:
        main.will_say(ProviderUnavailable(f"the gateway knows no key {key}"))
        response = await chat(kernel)
    assert key not in repr(lines)
    assert key not in repr(response.metadata)


async def test_a_call_that_asks_twenty_models_keeps_few_notes(
    running: Open, main: Model, backup: Model
) -> None:
    fallback = [f"backup/{number}" for number in range(20)]
    settings = {"attempts": 100, "total_attempts": 60, "breaker": {"failures": 0}}
    async with running(fallback=fallback, budget="10h", **settings) as kernel:
        main.will_say(*[down() for _ in range(100)])
        backup.will_say(*[down() for _ in range(100)])
        with pytest.raises(ProviderUnavailable) as caught:
            await chat(kernel)
    noted = vars(caught.value)["metadata"]["resilience"]
    assert noted["attempts"] == 60
    assert len(noted["decisions"]) == 60
    assert (main.asked, backup.asked) == (40, 20)
