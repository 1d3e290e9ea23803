"""No instance is asked more at once, or in a minute, than the config allows."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail import (
    ChatMessage,
    ChatRequest,
    ConfigError,
    EmbeddingRequest,
    EmbeddingResponse,
    ExecutionContext,
    ProviderUnavailable,
    RateLimited,
    StreamingChunk,
    StreamInterrupted,
    Usage,
)
from dovetail.testing import Gate
from dovetail_resilience.window import MINUTE, Window
from plugins.resilience.tests.asking import Ask, Model, Open, chat, embed, stream
from plugins.resilience.tests.virtual_time import Clock, loop


class Busy(Model):
    """Takes a second for everything, and notes how many it served at once, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.began: list[float] = []

    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncIterator[StreamingChunk]:
        self._begin()
        try:
            async for chunk in super().send_message_stream(request, context):
                yield chunk
                await asyncio.sleep(0.5)
        finally:
            self.now -= 1

    async def embed(
        self, request: EmbeddingRequest, context: ExecutionContext
    ) -> EmbeddingResponse:
        self._begin()
        try:
            await asyncio.sleep(1)
            return await super().embed(request, context)
        finally:
            self.now -= 1

    def _begin(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        self.began.append(loop().time())

    def most_in_a_minute(self) -> int:
        return max(sum(t <= u < t + MINUTE for u in self.began) for t in self.began)


@pytest.fixture
def main() -> Busy:
    return Busy()


def only(**limits: object) -> list[dict[str, object]]:
    return [{"instance": "main", "wait": "1h", **limits}]


async def test_a_hundred_calls_at_once_go_by_as_many_as_allowed(
    running: Open, main: Busy, ask: Ask
) -> None:
    async with running(limits=only(concurrent=7)) as kernel:
        clock = Clock()
        await asyncio.gather(*(ask(kernel) for _ in range(100)))
        assert clock.seconds == pytest.approx(15)
    assert (main.most, len(main.began)) == (7, 100)


async def test_a_stream_keeps_its_place_until_its_end(running: Open, main: Busy) -> None:
    gate = Gate()
    async with running(limits=only(concurrent=1)) as kernel:
        main.will_say(["One ", gate, "two."])
        async with kernel.stream("Hello") as answer:
            await gate.reached()
            other = asyncio.create_task(chat(kernel))
            await asyncio.sleep(100)
            assert len(main.began) == 1
            gate.open()
            async for _ in answer:
                pass
        await other
    assert main.most == 1


@pytest.mark.parametrize("hold", ["first_chunk", "2 chunks", "end"])
async def test_a_place_is_given_back_however_a_call_ends(
    running: Open, main: Busy, hold: str
) -> None:
    settings = {"attempts": 1, "hold": hold, "breaker": {"failures": 0}}
    async with running(limits=only(concurrent=1, wait=10), **settings) as kernel:
        for _ in range(3):
            main.will_say(ProviderUnavailable("down"), ["One ", StreamInterrupted("broke")])
            for _ in range(2):
                with pytest.raises((ProviderUnavailable, StreamInterrupted)):
                    await stream(kernel)
            for said in ([], ["One "]):
                gate = Gate()
                main.will_say([*said, gate])
                async with kernel.stream("Hello") as answer:
                    await gate.reached()
                    answer.run.cancel()
                    await answer.run.wait()
            async with kernel.stream("Hello") as answer:
                await anext(aiter(answer))
        await stream(kernel)
        await chat(kernel)
        await embed(kernel)


async def test_a_cancelled_wait_leaves_its_place_to_the_next(running: Open, main: Busy) -> None:
    async with running(limits=only(concurrent=1)) as kernel:
        calls = [asyncio.create_task(chat(kernel)) for _ in range(10)]
        await asyncio.sleep(0.1)
        for call in calls[1:9]:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await chat(kernel)
    assert len(main.began) == 3


async def test_a_retry_waits_without_a_place(running: Open, main: Busy) -> None:
    async with running(limits=only(concurrent=1)) as kernel:
        main.will_say(RateLimited("slow down", retry_after=50.0))
        first = asyncio.create_task(chat(kernel))
        await asyncio.sleep(1)
        clock = Clock()
        await chat(kernel)
        assert clock.seconds < 5
        await first


async def test_a_wait_for_a_place_ends(running: Open, main: Busy) -> None:
    gate = Gate()
    async with running(limits=only(concurrent=1, wait="20s")) as kernel:
        main.will_say(gate)
        first = asyncio.create_task(chat(kernel))
        await gate.reached()
        clock = Clock()
        with pytest.raises(RateLimited, match=r"main: .*`concurrent = 1`.*after 20 s.*`limits`"):
            await chat(kernel)
        assert clock.seconds == pytest.approx(20)
        gate.open()
        await first
        await chat(kernel)


async def test_only_so_many_calls_wait(running: Open, main: Busy) -> None:
    gate = Gate()
    async with running(limits=only(concurrent=1, waiting=3)) as kernel:
        main.will_say(gate)
        calls = [asyncio.create_task(chat(kernel)) for _ in range(9)]
        await gate.reached()
        await asyncio.sleep(1)
        gate.open()
        ended = await asyncio.gather(*calls, return_exceptions=True)
    assert Counter(type(end).__name__ for end in ended) == {"ChatResponse": 4, "RateLimited": 5}


async def test_a_wait_for_a_place_ends_with_the_budget(running: Open, main: Busy) -> None:
    gate = Gate()
    async with running(limits=only(concurrent=1), budget="5s") as kernel:
        main.will_say(gate)
        first = asyncio.create_task(chat(kernel))
        await gate.reached()
        clock = Clock()
        with pytest.raises(RateLimited, match="concurrent"):
            await chat(kernel)
        assert clock.seconds == pytest.approx(5)
        with pytest.raises(ProviderUnavailable):
            await first


async def test_who_finds_no_place_is_answered_elsewhere(
    running: Open, main: Busy, backup: Model
) -> None:
    gate = Gate()
    async with running(limits=only(concurrent=1, wait=0), fallback=["backup/two"]) as kernel:
        main.will_say(gate)
        first = asyncio.create_task(chat(kernel))
        await gate.reached()
        other = await chat(kernel)
        gate.open()
        await first
    assert other.provider == "backup"
    decisions = [d["decision"] for d in other.metadata["resilience"]["decisions"]]
    assert decisions == ["limit_refused", "fallback"]


async def test_who_waits_for_a_place_while_the_circuit_opens_is_refused_and_keeps_none(
    running: Open, main: Busy
) -> None:
    gate = Gate()
    settings = {"attempts": 1, "breaker": {"failures": 1, "reset": 30}}
    async with running(limits=only(concurrent=1), **settings) as kernel:
        main.will_say([gate, ProviderUnavailable("down")])
        first = asyncio.create_task(chat(kernel))
        await gate.reached()
        second = asyncio.create_task(chat(kernel))
        await asyncio.sleep(1)
        gate.open()
        with pytest.raises(ProviderUnavailable, match="down"):
            await first
        with pytest.raises(ProviderUnavailable, match="circuit"):
            await second
        assert len(main.began) == 1
        await asyncio.sleep(30)
        await chat(kernel)


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


async def test_a_limit_on_all_instances_counts_them_together(
    running: Open, main: Busy, backup: Model
) -> None:
    gates = [Gate(), Gate()]
    limits = [{"concurrent": 2, "wait": "1s"}]
    async with running(limits=limits, fallback=["third/three"]) as kernel:
        main.will_say(gates[0])
        backup.will_say(gates[1])
        calls = [asyncio.create_task(chat(kernel, m)) for m in ("main", "backup")]
        await gates[0].reached()
        await gates[1].reached()
        with pytest.raises(RateLimited, match="all instances together"):
            await chat(kernel, "third/three")
        for gate in gates:
            gate.open()
        await asyncio.gather(*calls)


async def test_a_limit_of_one_instance_leaves_the_others_alone(
    running: Open, main: Busy, backup: Model
) -> None:
    gate = Gate()
    async with running(limits=only(concurrent=1)) as kernel:
        main.will_say(gate)
        first = asyncio.create_task(chat(kernel))
        await gate.reached()
        clock = Clock()
        await chat(kernel, "backup/two")
        assert clock.seconds == 0
        gate.open()
        await first
    assert backup.asked == 1


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


def question(tokens: int, answer: int | None) -> ChatRequest:
    """A prompt that is taken for `tokens`, and may be answered with `answer` of them."""
    words = "abc " * (tokens - 4)
    return ChatRequest(messages=(ChatMessage.user(words),), max_tokens=answer)


def usage(total: int) -> StreamingChunk:
    counts = Usage(prompt_tokens=total - 10, completion_tokens=10, total_tokens=total)
    return StreamingChunk(text="Yes.", finish_reason="stop", usage=counts)


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


async def test_a_limit_for_an_instance_that_is_nowhere_is_refused_at_the_start(
    running: Open,
) -> None:
    with pytest.raises(ConfigError, match="no provider instance `mian`"):
        async with running(limits=[{"instance": "mian", "concurrent": 1}]):
            pass


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
