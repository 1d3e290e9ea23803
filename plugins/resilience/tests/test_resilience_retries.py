"""What may pass is tried again, as often and as late as it should be."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail import (
    AuthenticationError,
    ContentFiltered,
    ContextTooLong,
    InvalidRequest,
    InvalidResponse,
    ModelNotFound,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    StreamInterrupted,
)
from dovetail.testing import Gate
from dovetail_resilience.backoff import backoff, obeyed
from plugins.resilience.tests.asking import Ask, Model, Open, chat, stream
from plugins.resilience.tests.virtual_time import Clock


def down(text: str = "it is down", **details: Any) -> ProviderUnavailable:
    return ProviderUnavailable(text, **details)


@pytest.mark.parametrize(
    "error",
    [
        down(status=503),
        RateLimited("slow down", status=429),
        ProviderTimeout("too late"),
        StreamInterrupted("it broke"),
        InvalidResponse("odd, but it says to try again", may_retry=True),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_may_pass_is_tried_again(
    running: Open, main: Model, ask: Ask, error: ProviderError
) -> None:
    async with running() as kernel:
        main.will_fail(error)
        response = await ask(kernel)
    assert main.asked == 2
    assert response.provider == "main"


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("wrong key", status=401),
        InvalidRequest("no such field", status=400),
        ContextTooLong("too long", status=400),
        ContentFiltered("not that", status=400),
        ContextTooLong("too long, whatever the server says", status=400, may_retry=True),
        ContentFiltered("not that, whatever the server says", status=400, may_retry=True),
        ModelNotFound("no such model", status=404),
        InvalidResponse("what is this"),
        RateLimited("the quota is used up", status=429, may_retry=False),
        down("the certificate is wrong", may_retry=False),
        ProviderError("who knows"),
    ],
    ids=repr,
)
async def test_what_cannot_pass_is_not_tried_again(
    running: Open, main: Model, ask: Ask, error: ProviderError
) -> None:
    said = str(error)
    async with running() as kernel:
        main.will_fail(error)
        with pytest.raises(type(error)) as caught:
            await ask(kernel)
    assert main.asked == 1
    assert caught.value is error
    assert said in str(caught.value)
    assert "gave up" not in str(caught.value)


async def test_a_fault_that_is_no_error_of_ours_is_not_tried_again(
    running: Open, main: Model
) -> None:
    async with running() as kernel:
        main.will_say(KeyError("a bug"))
        with pytest.raises(ProviderError, match="KeyError"):
            await chat(kernel)
    assert main.asked == 1


@pytest.mark.parametrize("attempts", [1, 2, 3, 7])
async def test_it_is_tried_as_often_as_the_config_says(
    running: Open, main: Model, ask: Ask, attempts: int
) -> None:
    async with running(attempts=attempts, breaker={"failures": 0}) as kernel:
        main.will_fail(*[down() for _ in range(20)])
        with pytest.raises(ProviderUnavailable):
            await ask(kernel)
    assert main.asked == attempts


async def test_it_is_tried_three_times_unless_said(running: Open, main: Model, ask: Ask) -> None:
    async with running() as kernel:
        main.will_fail(*[down() for _ in range(20)])
        with pytest.raises(ProviderUnavailable):
            await ask(kernel)
    assert main.asked == 3


async def test_the_attempts_in_all_have_a_limit_of_their_own(running: Open, main: Model) -> None:
    async with running(attempts=9, total_attempts=4) as kernel:
        main.will_fail(*[down() for _ in range(20)])
        with pytest.raises(ProviderUnavailable, match=r"gave up.*`total_attempts` are used up"):
            await chat(kernel)
    assert main.asked == 4


async def test_a_stream_whose_first_chunk_was_handed_on_is_not_tried_again(
    running: Open, main: Model
) -> None:
    async with running() as kernel:
        main.will_say(["One ", StreamInterrupted("it broke")])
        with pytest.raises(StreamInterrupted, match="it broke") as caught:
            await stream(kernel)
    assert main.asked == 1
    assert caught.value.response is not None
    assert caught.value.response.text == "One "


async def test_of_what_is_not_streamed_nothing_is_handed_on_before_the_end(
    running: Open, main: Model
) -> None:
    async with running() as kernel:
        main.will_say(["One ", StreamInterrupted("it broke")], "All of it.")
        response = await chat(kernel)
    assert main.asked == 2
    assert response.text == "All of it."


async def test_what_had_come_of_the_last_attempt_is_kept(running: Open, main: Model) -> None:
    async with running() as kernel:
        for _ in range(3):
            main.will_say(["One ", "two ", StreamInterrupted("it broke")])
        with pytest.raises(StreamInterrupted, match="3 times") as caught:
            await chat(kernel)
    assert caught.value.response is not None
    assert caught.value.response.text == "One two "


class Waits:
    """When each attempt came, in seconds since the first."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, _request: object) -> Exception:
        self.times.append(asyncio.get_running_loop().time())
        return down()

    @property
    def between(self) -> list[float]:
        return [b - a for a, b in zip(self.times, self.times[1:], strict=False)]


async def test_waits_are_random_below_a_bound_that_doubles(
    running: Open, main: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dovetail_resilience.backoff.random", lambda: 1.0)
    waits = Waits()
    async with running(attempts=6, first_wait=0.5, longest_wait=3, breaker={"failures": 0}) as k:
        main.will_say(*[waits] * 6)
        with pytest.raises(ProviderUnavailable):
            await chat(k)
    assert waits.between == pytest.approx([0.5, 1, 2, 3, 3])


@given(
    retry=st.integers(1, 10_000),
    first=st.floats(0.001, 1e6),
    longest=st.floats(0.001, 1e6),
)
def test_no_wait_is_longer_than_its_bound(retry: int, first: float, longest: float) -> None:
    wait = backoff(retry, first, longest)
    assert 0 <= wait <= min(longest, first * 2.0 ** min(retry - 1, 60))


def test_jitter_is_full() -> None:
    waits = [backoff(3, 1.0, 100.0) for _ in range(2000)]
    assert min(waits) < 0.2
    assert max(waits) > 3.8
    assert 1.8 < sum(waits) / len(waits) < 2.2


@given(asked=st.floats(0.001, 1e6), longest=st.floats(0.001, 1e6))
def test_a_server_is_never_asked_before_its_time(asked: float, longest: float) -> None:
    wait = obeyed(asked, longest)
    assert wait is None if asked > longest else wait is not None and asked <= wait <= longest


async def test_a_wait_that_the_server_asks_for_is_kept(
    running: Open, main: Model, ask: Ask
) -> None:
    async with running() as kernel:
        main.will_fail(RateLimited("slow down", status=429, retry_after=7.0))
        clock = Clock()
        await ask(kernel)
    assert 7.0 <= clock.seconds <= 7.8


async def test_a_server_that_asks_for_more_than_two_minutes_is_not_asked_again(
    running: Open, main: Model, ask: Ask
) -> None:
    async with running() as kernel:
        main.will_fail(RateLimited("come back tomorrow", status=429, retry_after=121.0))
        clock = Clock()
        with pytest.raises(RateLimited, match="come back tomorrow") as caught:
            await ask(kernel)
    assert (main.asked, clock.seconds) == (1, 0.0)
    assert caught.value.details.retry_after == 121.0


async def test_two_minutes_are_waited_for(running: Open, main: Model) -> None:
    async with running() as kernel:
        main.will_say(RateLimited("slow down", retry_after=120.0))
        await chat(kernel)
    assert main.asked == 2


async def test_a_budget_that_a_wait_would_pass_ends_the_call_at_once(
    running: Open, main: Model, ask: Ask
) -> None:
    async with running(budget="30s") as kernel:
        main.will_fail(RateLimited("slow down", retry_after=31.0))
        clock = Clock()
        with pytest.raises(RateLimited, match="slow down"):
            await ask(kernel)
    assert (main.asked, clock.seconds) == (1, 0.0)


async def test_an_attempt_that_passes_the_budget_is_broken_off(running: Open, main: Model) -> None:
    async with running(budget="30s") as kernel:
        main.will_say(down(), Gate())
        clock = Clock()
        with pytest.raises(ProviderTimeout, match="`budget` of 30 s") as caught:
            await chat(kernel)
    assert clock.seconds == pytest.approx(30)
    assert main.calls[-1].closed
    assert caught.value.details.provider == "main"


async def test_what_had_come_when_the_budget_ended_is_kept(running: Open, main: Model) -> None:
    async with running(budget="30s") as kernel:
        main.will_say(["One ", Gate()])
        with pytest.raises(ProviderTimeout, match="`budget` of 30 s") as caught:
            await chat(kernel)
    assert caught.value.response is not None
    assert caught.value.response.text == "One "


async def test_a_stream_that_was_handed_on_takes_as_long_as_it_likes(
    running: Open, main: Model
) -> None:
    async with running(budget="30s") as kernel:
        main.will_say(["One ", 100.0, "two."])
        assert (await stream(kernel)).text == "One two."


@pytest.mark.parametrize("reply", [RateLimited("slow down", retry_after=100.0), Gate()])
async def test_a_cancel_ends_a_wait_and_an_attempt_at_once(
    running: Open, main: Model, reply: object
) -> None:
    async with running(budget=1000) as kernel:
        main.will_say(reply)  # type: ignore[arg-type]
        clock = Clock()
        async with kernel.stream("Hello") as answer:
            asyncio.get_running_loop().call_later(1, answer.run.cancel)
            await answer.run.wait()
        assert clock.seconds < 1.5
        assert main.asked == 1
        assert all(call.closed for call in main.calls)
        await chat(kernel)  # and the next call is none the worse for it


async def test_the_caller_of_an_embedding_can_go_away_during_a_wait(
    running: Open, main: Model
) -> None:
    async with running() as kernel:
        main.embed_errors.append(RateLimited("slow down", retry_after=100.0))
        clock = Clock()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await kernel.embed("Hello")
    assert (main.asked, clock.seconds) == (1, 5.0)
