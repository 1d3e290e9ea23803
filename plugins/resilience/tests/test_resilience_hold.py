"""A stream is held back as far as the config says, and no further."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import pytest

from dovetail import (
    Answer,
    ChatCall,
    ChatResponse,
    ConfigError,
    End,
    FinishReason,
    Middleware,
    ProviderUnavailable,
    StreamInterrupted,
)
from dovetail.testing import Gate
from plugins.resilience.tests.asking import Model, Open, chat, stream


class Inner(Middleware):
    """Notes how each answer ends, and signs whole ones."""

    ends: deque[End] = deque(maxlen=100)

    async def chat(
        self, call: ChatCall, call_next: Callable[[ChatCall], Awaitable[Answer]]
    ) -> Answer:
        answer = await call_next(call)
        answer.metadata["inner"] = call.provider
        answer.on_end(self._sign)
        return answer

    def _sign(self, end: End) -> ChatResponse | None:
        self.ends.append(end)
        if end.error is not None:
            return None
        message = end.response.message
        signed = message.model_copy(update={"content": message.text + " (signed)"})
        return end.response.model_copy(update={"message": signed})


@pytest.fixture(autouse=True)
def _forget() -> None:
    Inner.ends.clear()


def broken_after(*texts: str) -> list[str | Exception]:
    return [*texts, StreamInterrupted("it broke")]


@pytest.mark.parametrize(
    ("hold", "breaks", "attempts"),
    [
        ("first_chunk", ["1"], 1),
        ("1 chunk", ["1"], 1),
        ("3 chunks", ["1", "2"], 2),
        ("3 chunks", ["1", "2", "3"], 1),
        ("10 characters", ["12345", "6789"], 2),
        ("10 characters", ["12345", "67890"], 1),
        ("end", ["1"] * 500, 2),
    ],
)
async def test_a_stream_that_breaks_while_it_is_held_is_tried_again(
    running: Open, main: Model, hold: str, breaks: list[str], attempts: int
) -> None:
    async with running(hold=hold) as kernel:
        main.will_say(broken_after(*breaks), ["All ", "is ", "well."])
        if attempts == 1:
            with pytest.raises(StreamInterrupted) as caught:
                await stream(kernel)
            assert caught.value.response is not None
            assert caught.value.response.text == "".join(breaks)
        else:
            assert (await stream(kernel)).text == "All is well."
    assert main.asked == attempts


async def test_a_held_stream_may_be_answered_by_another_model(
    running: Open, main: Model, backup: Model
) -> None:
    async with running(Inner, hold="end", attempts=1, fallback=["backup/two"]) as kernel:
        main.will_say(broken_after("One "))
        backup.will_say(["All ", "is ", "well."])
        response = await stream(kernel)
    assert response.provider == "backup"
    assert response.metadata["inner"] == "backup"
    assert [type(end.error) for end in Inner.ends] == [StreamInterrupted, type(None)]


@pytest.mark.parametrize("hold", ["first_chunk", "2 chunks", "3 characters", "end"])
async def test_what_inner_middleware_makes_of_an_answer_is_kept(
    running: Open, main: Model, hold: str
) -> None:
    async with running(Inner, hold=hold) as kernel:
        for ask in (chat, stream):
            main.will_say(["One ", "two ", "three ", "four."])
            response = await ask(kernel)
            assert response.text == "One two three four. (signed)"
            assert response.metadata["inner"] == "main"
            assert response.finish_reason == FinishReason.STOP
            assert response.usage is not None
            assert response.usage.completion_tokens == 4
    assert len(Inner.ends) == 2


@pytest.mark.parametrize(("hold", "held"), [("2 chunks", 2), ("7 characters", 2), ("end", 5)])
async def test_as_much_is_held_back_as_asked(
    running: Open, main: Model, hold: str, held: int
) -> None:
    gates = [Gate() for _ in range(4)]
    async with running(hold=hold) as kernel:
        main.will_say(["One ", gates[0], "two ", gates[1], "three ", gates[2], "four ", gates[3]])
        async with kernel.stream("Hello") as answer:
            first = asyncio.create_task(anext(aiter(answer)))
            for place, gate in enumerate(gates, 1):
                await gate.reached()
                for _ in range(20):
                    await asyncio.sleep(0)
                assert first.done() is (place >= held)
                gate.open()
            assert (await first).text
            async for _ in answer:
                pass
            assert answer.response is not None
            assert answer.response.text == "One two three four "


async def test_what_had_come_of_a_held_stream_is_handed_on_before_the_last_error(
    running: Open, main: Model
) -> None:
    async with running(hold="end", attempts=2) as kernel:
        main.will_say(broken_after("One "), broken_after("One ", "two "))
        chunks: list[str] = []
        with pytest.raises(StreamInterrupted, match="`main/one` 2 times"):
            async with kernel.stream("Hello") as answer:
                async for chunk in answer:
                    chunks.append(chunk.text)  # noqa: PERF401 - a comprehension loses them
    assert "".join(chunks) == "One two "


@pytest.mark.parametrize("hold", ["2 chunks", "end"])
async def test_a_cancel_closes_what_is_held(running: Open, main: Model, hold: str) -> None:
    gate = Gate()
    async with running(Inner, hold=hold) as kernel:
        main.will_say(["One ", gate])
        async with kernel.stream("Hello") as answer:
            await gate.reached()
            answer.run.cancel()
            await answer.run.wait()
    assert main.asked == 1
    assert main.calls[0].closed
    assert [type(end.error) for end in Inner.ends] == [asyncio.CancelledError]


async def test_leaving_a_stream_that_was_held_closes_it(running: Open, main: Model) -> None:
    gate = Gate()
    async with running(Inner, hold="2 chunks") as kernel:
        main.will_say(["One ", "two ", gate, "three"])
        async with kernel.stream("Hello") as answer:
            await anext(aiter(answer))
            await gate.reached()
    assert main.calls[0].closed
    assert len(Inner.ends) == 1


async def test_an_answer_shorter_than_what_is_held_is_whole(running: Open, main: Model) -> None:
    async with running(hold="100 chunks") as kernel:
        main.will_say("All is well.")
        assert (await stream(kernel)).text == "All is well."


async def test_an_error_before_the_first_chunk_is_no_different(running: Open, main: Model) -> None:
    async with running(hold="end") as kernel:
        main.will_say(ProviderUnavailable("it is down"), "All is well.")
        assert (await stream(kernel)).text == "All is well."


@pytest.mark.parametrize("hold", ["", "0 chunks", "3", "chunks", "-1 chunks", "two chunks", "END"])
async def test_a_hold_that_makes_no_sense_is_refused(running: Open, hold: str) -> None:
    with pytest.raises(ConfigError, match="hold"):
        async with running(hold=hold):
            pass
