"""No instance is asked more often, or for more tokens, in a minute than the config allows."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail import (
    ChatMessage,
    ChatRequest,
    ProviderUnavailable,
    RateLimited,
    StreamingChunk,
    Usage,
)
from dovetail_resilience.window import MINUTE, Window
from plugins.resilience.tests.asking import Ask, Model, Open, chat
from plugins.resilience.tests.busy import Busy, only
from plugins.resilience.tests.virtual_time import Clock


@pytest.fixture
def main() -> Busy:
    return Busy()


def question(tokens: int, answer: int | None) -> ChatRequest:
    """A prompt that is taken for `tokens`, and may be answered with `answer` of them."""
    words = "abc " * (tokens - 4)
    return ChatRequest(messages=(ChatMessage.user(words),), max_tokens=answer)


def usage(total: int) -> StreamingChunk:
    counts = Usage(prompt_tokens=total - 10, completion_tokens=10, total_tokens=total)
    return StreamingChunk(text="Yes.", finish_reason="stop", usage=counts)


async def test_tokens_kept_for_a_call_that_is_refused_in_the_end_are_given_back(
    running: Open, main: Busy, backup: Model
) -> None:
    limits = [*only(tokens_per_minute=1000), {"requests_per_minute": 1, "wait": 0}]
    async with running(limits=limits) as kernel:
        await chat(kernel, "backup/two")
        for _ in range(5):
            with pytest.raises(RateLimited, match=r"requests_per_minute = 1.*all instances"):
                await kernel.chat(question(300, 600))
        await asyncio.sleep(59.9)
        clock = Clock()
        main.will_say(usage(900))
        await asyncio.sleep(0.1)
        await kernel.chat(question(300, 600))
        assert clock.seconds < 5


async def test_no_more_calls_begin_in_a_minute_than_allowed(
    running: Open, main: Busy, ask: Ask
) -> None:
    async with running(limits=only(requests_per_minute=10), budget="1h") as kernel:
        clock = Clock()
        await asyncio.gather(*(ask(kernel) for _ in range(35)))
        assert 180 <= clock.seconds < 190
    assert main.most_in_a_minute() == 10


async def test_retries_are_counted_too(running: Open, main: Busy) -> None:
    async with running(limits=only(requests_per_minute=2), attempts=3) as kernel:
        main.will_say(ProviderUnavailable("down"), ProviderUnavailable("down"))
        response = await chat(kernel)
    assert main.most_in_a_minute() == 2
    noted = response.metadata["resilience"]
    limits = [d["limit"] for d in noted["decisions"] if d["decision"] == "waited_for_limit"]
    assert limits == ["requests_per_minute"]
    assert noted["waited_s"] >= 59


async def test_calls_go_in_the_order_they_came(running: Open, main: Busy) -> None:
    async with running(limits=only(requests_per_minute=1), budget="1h") as kernel:
        await asyncio.gather(*(kernel.chat(f"{i}") for i in range(6)))
    assert [request.messages[-1].text for request in main.requests] == list("012345")


async def test_tokens_are_estimated_before_a_call(running: Open, main: Busy) -> None:
    async with running(limits=only(tokens_per_minute=1000)) as kernel:
        clock = Clock()
        main.will_say(usage(400), usage(400), usage(400))
        await kernel.chat(question(300, 100))
        await kernel.chat(question(300, 100))
        assert clock.seconds < 5
        await kernel.chat(question(300, 100))
        assert clock.seconds >= 60


async def test_tokens_are_counted_from_usage_afterwards(running: Open, main: Busy) -> None:
    async with running(limits=only(tokens_per_minute=1000)) as kernel:
        clock = Clock()
        main.will_say(usage(20), usage(20))
        await kernel.chat(question(300, 600))  # taken for 900, it took 20
        await kernel.chat(question(300, 600))
        assert clock.seconds < 5
        main.will_say(usage(990))
        await asyncio.sleep(120)
        await kernel.chat(question(10, 10))  # taken for 20, it took 990
        clock = Clock()
        await kernel.chat(question(10, 10))
        assert clock.seconds > 55


async def test_who_waits_for_tokens_goes_on_when_fewer_were_used(running: Open, main: Busy) -> None:
    async with running(limits=only(tokens_per_minute=1000)) as kernel:
        clock = Clock()
        main.will_say(usage(20), usage(20))
        await asyncio.gather(*(kernel.chat(question(300, 600)) for _ in range(2)))
        assert clock.seconds < 5


async def test_a_call_that_was_turned_away_took_no_tokens(running: Open, main: Busy) -> None:
    async with running(limits=only(tokens_per_minute=1000), attempts=1) as kernel:
        clock = Clock()
        main.will_say(ProviderUnavailable("down"), "Fine.")
        with pytest.raises(ProviderUnavailable):
            await kernel.chat(question(300, 600))
        await kernel.chat(question(300, 600))
        assert clock.seconds < 5


async def test_a_usage_without_a_total_is_added_up(running: Open, main: Busy) -> None:
    async with running(limits=only(tokens_per_minute=1000)) as kernel:
        counts = Usage(prompt_tokens=10, completion_tokens=980)
        main.will_say(StreamingChunk(text="Yes.", finish_reason="stop", usage=counts))
        await kernel.chat(question(10, 10))
        clock = Clock()
        await kernel.chat(question(10, 10))
        assert clock.seconds > 55


async def test_an_answer_without_usage_took_what_was_estimated(running: Open, main: Busy) -> None:
    async with running(limits=only(tokens_per_minute=1000)) as kernel:
        main.will_say(StreamingChunk(text="Yes.", finish_reason="stop"))
        await kernel.chat(question(300, 600))
        clock = Clock()
        main.will_say("Yes.")
        await kernel.chat(question(300, 600))
        assert clock.seconds > 55


async def test_a_call_larger_than_the_limit_passes_when_nothing_else_does(
    running: Open, main: Busy
) -> None:
    async with running(limits=only(tokens_per_minute=100)) as kernel:
        clock = Clock()
        main.will_say(usage(5000), usage(5000))
        await kernel.chat(question(4000, 1000))
        await kernel.chat(question(4000, 1000))
        assert 60 <= clock.seconds < 70


async def test_the_tokens_of_embeddings_count(running: Open, main: Busy) -> None:
    async with running(limits=only(tokens_per_minute=100)) as kernel:
        clock = Clock()
        await kernel.embed("word " * 80)  # 80 by its usage
        await kernel.embed("word " * 80)
        assert clock.seconds >= 60


@given(
    limit=st.integers(1, 50),
    calls=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 60)), max_size=80),
)
def test_a_window_never_lets_more_in_than_its_limit(
    limit: int, calls: list[tuple[float, int]]
) -> None:
    window = Window(limit)
    now, entered = 0.0, list[tuple[float, int]]()
    for passed, amount in calls:
        now += passed
        rounds = 0
        while pause := window.pause(amount, now):
            assert 0 < pause < MINUTE + 1e-6
            now += pause
            rounds += 1
            assert rounds < 100
        window.enter(min(amount, limit), now)
        entered.append((now, min(amount, limit)))
        assert sum(a for t, a in entered if t > now - MINUTE + 1e-6) <= limit
    assert len(window._entries) <= MINUTE + 1  # noqa: SLF001 - that it is bounded shows nowhere else


@given(amounts=st.lists(st.tuples(st.floats(0, 40), st.integers(0, 50), st.integers(-60, 60))))
def test_what_is_corrected_is_forgotten_again(amounts: list[tuple[float, int, int]]) -> None:
    window, now = Window(100), 0.0
    entries = []
    for passed, amount, by in amounts:
        now += passed
        entries.append(window.enter(amount, now))
        window.correct(entries[len(entries) // 2], max(by, -amount), now)
    assert window.pause(100, now + MINUTE + 1) == 0
    assert window.total == 0
