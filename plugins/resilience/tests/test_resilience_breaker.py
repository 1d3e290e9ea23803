"""An instance that keeps failing is left alone for a while, and then probed by one call."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail import (
    AuthenticationError,
    InvalidRequest,
    InvalidResponse,
    Kernel,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    StreamInterrupted,
)
from dovetail.testing import Gate
from dovetail_resilience.breaker import Breaker
from dovetail_resilience.settings import BreakerSettings
from plugins.resilience.tests.asking import Ask, Model, Open, chat, stream
from plugins.resilience.tests.virtual_time import loop

BREAKER = {"failures": 3, "window": 60, "reset": 30}


def down() -> ProviderUnavailable:
    return ProviderUnavailable("it is down", status=503)


async def fail(kernel: Kernel, *models: Model, ask: Ask = chat, times: int = 3) -> None:
    """Ask that often, and see it fail each time."""
    for model in models:
        model.will_fail(*[down() for _ in range(times)])
    for _ in range(times):
        with pytest.raises(ProviderUnavailable, match="it is down"):
            await ask(kernel)
    for model in models:
        model.replies.clear()
        model.embed_errors.clear()


def events(lines: list[Any]) -> list[str]:
    return [line["event"].removeprefix("resilience.") for line in lines]


async def test_after_failures_in_a_row_an_instance_is_not_asked(
    running: Open, main: Model, ask: Ask
) -> None:
    async with running(attempts=1, breaker=BREAKER) as kernel:
        await fail(kernel, main, ask=ask)
        with pytest.raises(ProviderUnavailable, match=r"circuit is open.*it is down") as caught:
            await ask(kernel)
        assert main.asked == 3
        details = caught.value.details
        assert (details.provider, details.retry_after) == ("main", 30.0)


async def test_retries_of_one_call_open_it_and_end_with_it(running: Open, main: Model) -> None:
    async with running(attempts=9, breaker=BREAKER) as kernel:
        main.will_say(*[down() for _ in range(9)])
        with pytest.raises(ProviderUnavailable, match=r"it is down.*its circuit is open"):
            await chat(kernel)
        assert main.asked == 3


async def test_while_it_is_open_the_fallback_is_asked(
    running: Open, main: Model, backup: Model
) -> None:
    async with running(attempts=3, breaker=BREAKER, fallback=["backup/two"]) as kernel:
        main.will_say(*[down() for _ in range(3)])
        await chat(kernel)
        for _ in range(5):
            assert (await chat(kernel)).provider == "backup"
    assert (main.asked, backup.asked) == (3, 6)


async def test_each_instance_has_a_circuit_of_its_own(
    running: Open, main: Model, backup: Model
) -> None:
    async with running(attempts=1, breaker=BREAKER) as kernel:
        await fail(kernel, main)
        assert (await chat(kernel, "backup/two")).provider == "backup"
        with pytest.raises(ProviderUnavailable, match="circuit"):
            await chat(kernel)


async def test_chats_and_embeddings_share_the_circuit(running: Open, main: Model) -> None:
    async with running(attempts=1, breaker=BREAKER) as kernel:
        await fail(kernel, main)
        with pytest.raises(ProviderUnavailable, match="circuit"):
            await kernel.embed("Hello")


async def test_a_success_begins_the_count_anew(running: Open, main: Model) -> None:
    async with running(attempts=1, breaker=BREAKER) as kernel:
        for _ in range(5):
            await fail(kernel, main, times=2)
            await chat(kernel)
        assert main.asked == 15


async def test_failures_that_lie_far_apart_open_nothing(running: Open, main: Model) -> None:
    async with running(attempts=1, breaker=BREAKER) as kernel:
        for _ in range(9):
            await fail(kernel, main, times=1)
            await asyncio.sleep(31)
        assert main.asked == 9


@pytest.mark.parametrize(
    ("error", "opens"),
    [
        (ProviderTimeout("too late"), True),
        (InvalidResponse("what is this"), True),
        (StreamInterrupted("it broke"), True),
        (ProviderError("who knows"), True),
        (RateLimited("slow down"), False),
        (AuthenticationError("wrong key"), False),
        (InvalidRequest("no such field"), False),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_only_what_the_instance_is_to_blame_for_counts(
    running: Open, main: Model, error: ProviderError, opens: bool
) -> None:
    async with running(attempts=1, breaker=BREAKER) as kernel:
        main.will_say(*[type(error)(error.message) for _ in range(3)])
        for _ in range(3):
            with pytest.raises(type(error)):
                await chat(kernel)
        if opens:
            with pytest.raises(ProviderUnavailable, match="circuit"):
                await chat(kernel)
        else:
            await chat(kernel)


async def test_streams_that_break_in_the_middle_count(running: Open, main: Model) -> None:
    async with running(breaker=BREAKER) as kernel:
        for _ in range(3):
            main.will_say(["One ", StreamInterrupted("it broke")])
            with pytest.raises(StreamInterrupted):
                await stream(kernel)
        with pytest.raises(ProviderUnavailable, match="circuit"):
            await stream(kernel)


async def test_an_instance_that_hangs_until_the_budget_ends_counts(
    running: Open, main: Model
) -> None:
    async with running(budget=5, breaker={**BREAKER, "reset": 100}) as kernel:
        main.will_say(Gate(), ["One ", Gate()], Gate())
        for _ in range(3):
            with pytest.raises(ProviderTimeout):
                await chat(kernel)
        with pytest.raises(ProviderUnavailable, match="circuit"):
            await chat(kernel)


async def test_a_cancel_is_no_failure(running: Open, main: Model) -> None:
    async with running(breaker=BREAKER) as kernel:
        for before in ([], [], [], ["One "], ["One "], ["One "]):
            gate = Gate()
            main.will_say([*before, gate])
            async with kernel.stream("Hello") as answer:
                await gate.reached()
                answer.run.cancel()
                await answer.run.wait()
        await chat(kernel)


async def test_after_the_reset_one_call_probes_and_closes_it(
    running: Open, main: Model, ask: Ask, lines: list[Any]
) -> None:
    async with running(attempts=1, breaker=BREAKER) as kernel:
        await fail(kernel, main, ask=ask)
        await asyncio.sleep(30)
        probed = await ask(kernel)
        plain = await ask(kernel)
    decisions = [d["decision"] for d in probed.metadata["resilience"]["decisions"]]
    assert decisions == ["circuit_half_open", "circuit_closed"]
    assert "resilience" not in plain.metadata
    wanted = [e for e in events(lines) if e.startswith("circuit")]
    assert wanted == ["circuit_opened", "circuit_half_open", "circuit_closed"]


async def test_a_probe_that_fails_opens_it_again(running: Open, main: Model, ask: Ask) -> None:
    async with running(attempts=3, breaker=BREAKER) as kernel:
        main.will_fail(*[down() for _ in range(3)])
        with pytest.raises(ProviderUnavailable, match="it is down"):
            await ask(kernel)
        await asyncio.sleep(30)
        main.replies.clear()
        main.embed_errors.clear()
        main.will_fail(down())
        with pytest.raises(ProviderUnavailable, match="it is down"):
            await ask(kernel)
        assert main.asked == 4
        await asyncio.sleep(29)
        with pytest.raises(ProviderUnavailable, match="circuit"):
            await ask(kernel)
        await asyncio.sleep(1)
        await ask(kernel)


async def test_only_one_call_probes_at_a_time(running: Open, main: Model, backup: Model) -> None:
    gate = Gate()
    async with running(attempts=1, breaker=BREAKER, fallback=["backup/two"]) as kernel:
        main.will_say(*[down() for _ in range(3)])
        for _ in range(3):
            await chat(kernel)
        await asyncio.sleep(30)
        main.will_say(gate)
        probe = asyncio.create_task(chat(kernel))
        await gate.reached()
        others = await asyncio.gather(*(chat(kernel) for _ in range(20)))
        assert {other.provider for other in others} == {"backup"}
        gate.open()
        assert (await probe).provider == "main"
        assert (await chat(kernel)).provider == "main"


async def test_a_probe_that_is_cancelled_leaves_the_next_call_to_probe(
    running: Open, main: Model
) -> None:
    gate = Gate()
    async with running(attempts=1, breaker=BREAKER) as kernel:
        await fail(kernel, main)
        await asyncio.sleep(30)
        main.will_say(gate)
        async with kernel.stream("Hello") as answer:
            await gate.reached()
            answer.run.cancel()
            await answer.run.wait()
        await chat(kernel)
        await chat(kernel)


async def test_the_first_chunk_of_a_probe_closes_it(running: Open, main: Model) -> None:
    gate = Gate()
    async with running(attempts=1, breaker=BREAKER) as kernel:
        await fail(kernel, main)
        await asyncio.sleep(30)
        main.will_say(["One ", gate, "two."])
        async with kernel.stream("Hello") as answer:
            await gate.reached()
            await chat(kernel)
            gate.open()
            async for _ in answer:
                pass


async def test_an_answer_that_began_before_it_opened_does_not_close_it(
    running: Open, main: Model
) -> None:
    gate = Gate()
    async with running(attempts=1, breaker=BREAKER) as kernel:
        main.will_say(gate)
        early = asyncio.create_task(chat(kernel))
        await gate.reached()
        await fail(kernel, main)
        gate.open()
        await early
        with pytest.raises(ProviderUnavailable, match="circuit"):
            await chat(kernel)


async def test_a_breaker_of_no_failures_never_opens(running: Open, main: Model) -> None:
    async with running(attempts=1, breaker={"failures": 0}) as kernel:
        await fail(kernel, main, times=50)
        assert main.asked == 50


async def test_a_stream_that_opens_the_circuit_says_so_in_its_error(
    running: Open, main: Model
) -> None:
    async with running(breaker={**BREAKER, "failures": 1}) as kernel:
        main.will_say(["One ", StreamInterrupted("it broke")])
        with pytest.raises(StreamInterrupted) as caught:
            await stream(kernel)
        noted = vars(caught.value)["metadata"]["resilience"]["decisions"]
        assert [decision["decision"] for decision in noted] == ["circuit_opened"]
        assert caught.value.response is not None
        assert caught.value.response.metadata["resilience"]["decisions"] == noted


async def test_whoever_comes_back_when_told_is_let_through(running: Open, main: Model) -> None:
    async with running(attempts=1, breaker=BREAKER) as kernel:
        await fail(kernel, main)
        began = loop().time()
        with pytest.raises(ProviderUnavailable) as caught:
            await chat(kernel)
        await asyncio.sleep(caught.value.details.retry_after or 0)
        await chat(kernel)
        assert loop().time() - began == pytest.approx(30)


@given(
    steps=st.lists(
        st.tuples(st.floats(0, 20), st.sampled_from(["good", "bad", "forgo"])), max_size=60
    ),
    failures=st.integers(1, 5),
)
def test_it_never_refuses_without_failures_nor_for_longer_than_its_reset(
    steps: list[tuple[float, str]], failures: int
) -> None:
    breaker = Breaker(BreakerSettings(failures=failures, window=30, reset=10))
    now, in_a_row, probing = 0.0, 0, False
    for passed, outcome in steps:
        now += passed
        seconds = breaker.refused_for(now)
        if seconds is not None:
            assert in_a_row >= failures
            assert 0 < seconds < 10.001
            continue
        probing = not breaker.closed
        if probing:
            breaker.probe()
            assert breaker.refused_for(now) is not None
        if outcome == "good":
            assert breaker.good(probe=probing) is probing
            in_a_row = 0
        elif outcome == "bad":
            in_a_row += 1
            assert breaker.bad(now, ValueError(), probe=probing) or not probing
        elif probing:
            breaker.forgo()
