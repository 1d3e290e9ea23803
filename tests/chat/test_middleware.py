"""Middleware around turns, model calls and embeddings."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dovetail import (
    Answer,
    ChatCall,
    ChatMessage,
    ChatProvider,
    ChatRequest,
    ChatResponse,
    ContentFiltered,
    EmbedCall,
    EmbeddingProvider,
    EmbeddingRequest,
    EmbeddingResponse,
    End,
    ExecutionContext,
    FinishReason,
    InvalidResponse,
    Kernel,
    Middleware,
    ProviderError,
    ProviderUnavailable,
    StreamingChunk,
    ToolCallDelta,
    TurnCall,
)
from tests.support.kernels import kernel_of
from tests.support.models import Echo, Gated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    ChatNext = Callable[[ChatCall], Awaitable[Answer]]
    TurnNext = Callable[[TurnCall], Awaitable[Answer]]


async def both_ways(kernel: Kernel, prompt: str) -> tuple[str, str]:
    """The answer's text by `chat` and by `stream`."""
    whole = await kernel.chat(prompt)
    async with kernel.stream(prompt) as stream:
        streamed = "".join([chunk.text async for chunk in stream])
        assert stream.response.text == streamed
    return whole.text, streamed


async def test_the_order_in_the_config_is_the_order_from_outside_in() -> None:
    order: list[str] = []

    class Outer(Middleware):
        async def chat(self, call: ChatCall, call_next: ChatNext) -> Answer:
            order.append("outer in")
            answer = await call_next(call)
            order.append("outer out")
            return answer

    class Inner(Middleware):
        async def chat(self, call: ChatCall, call_next: ChatNext) -> Answer:
            order.append("inner in")
            answer = await call_next(call)
            order.append("inner out")
            return answer

    async with kernel_of(Echo, Outer, Inner) as kernel:
        await kernel.chat("x")
    assert order == ["outer in", "inner in", "inner out", "outer out"]


async def test_chunks_are_changed_and_dropped_alike_on_both_paths() -> None:
    class Shout(Middleware):
        async def chat(self, call: ChatCall, call_next: ChatNext) -> Answer:
            answer = await call_next(call)
            answer.each(lambda chunk: None if chunk.text.startswith("no") else chunk)
            answer.each(lambda chunk: replace(chunk, text=chunk.text.upper()))
            return answer

    class Whole(ChatProvider):
        async def send_message(
            self, request: ChatRequest, context: ExecutionContext
        ) -> ChatResponse:
            return ChatResponse(message=ChatMessage.assistant("yes sir"), extras={"a": 1})

    async with kernel_of(Echo, Whole, Shout) as kernel:
        assert await both_ways(kernel, "yes no maybe") == ("YES MAYBE ", "YES MAYBE ")
        whole = await kernel.chat("x", model="whole")
        assert (whole.text, whole.extras) == ("YES SIR", {"a": 1})


async def test_an_answer_may_come_from_the_middleware_alone() -> None:
    class Cache(Middleware):
        async def turn(self, call: TurnCall, call_next: TurnNext) -> Answer:
            return Answer.of("from the cache")

    async with kernel_of(Echo, Cache) as kernel:
        assert await both_ways(kernel, "x") == ("from the cache", "from the cache")
        await kernel.chat("x", session="s")
        session = await kernel.sessions.get_session("s")
        assert session is not None
        assert [m.text for m in session.history] == ["x", "from the cache"]


async def test_what_fails_before_the_first_chunk_may_be_tried_again() -> None:
    class Flaky(ChatProvider):
        calls = 0

        async def send_message_stream(
            self, request: ChatRequest, context: ExecutionContext
        ) -> AsyncIterator[StreamingChunk]:
            self.calls += 1
            if self.calls % 2:
                message = "not yet"
                raise ProviderUnavailable(message)
            yield StreamingChunk(text="now")

    class Retry(Middleware):
        async def chat(self, call: ChatCall, call_next: ChatNext) -> Answer:
            try:
                return await call_next(call)
            except ProviderUnavailable:
                return await call_next(call)

    async with kernel_of(Flaky, Retry) as kernel:
        assert await both_ways(kernel, "x") == ("now", "now")


async def test_another_provider_may_be_asked_instead() -> None:
    class Fails(ChatProvider):
        async def send_message(
            self, request: ChatRequest, context: ExecutionContext
        ) -> ChatResponse:
            message = "away"
            raise ProviderUnavailable(message)

    class Fallback(Middleware):
        async def chat(self, call: ChatCall, call_next: ChatNext) -> Answer:
            try:
                return await call_next(call)
            except ProviderUnavailable as error:
                answer = await call_next(replace(call, provider="echo"))
                answer.metadata["instead_of"] = error.details.provider
                return answer

    async with kernel_of(Fails, Echo, Fallback) as kernel:
        response = await kernel.chat("x")
        assert (response.text, response.provider) == ("x ", "echo")
        assert response.metadata == {"instead_of": "fails"}


@pytest.mark.parametrize("how", ["whole", "left", "error"])
async def test_the_end_of_an_answer_is_told_once_however_it_ends(how: str) -> None:
    ends: list[End] = []

    class Noting(Middleware):
        async def chat(self, call: ChatCall, call_next: ChatNext) -> Answer:
            answer = await call_next(call)
            answer.on_end(ends.append)
            return answer

    class Breaks(ChatProvider):
        async def send_message_stream(
            self, request: ChatRequest, context: ExecutionContext
        ) -> AsyncIterator[StreamingChunk]:
            yield StreamingChunk(text="half")
            message = "cut"
            raise ProviderUnavailable(message)

    async with kernel_of(Gated, Breaks, Noting) as kernel:
        gated = kernel.generation.providers["gated"]
        assert isinstance(gated, Gated)
        if how == "whole":
            gated.gate.set()
            await kernel.chat("x")
        elif how == "left":
            async with kernel.stream("x") as stream:
                await anext(stream)
        else:
            with pytest.raises(ProviderUnavailable):
                await kernel.chat("x", model="breaks")
    (end,) = ends
    expected = {
        "whole": ("begun done", FinishReason.STOP, type(None)),
        "left": ("begun ", FinishReason.CANCELLED, asyncio.CancelledError),
        "error": ("half", FinishReason.ERROR, ProviderUnavailable),
    }
    assert (end.response.text, end.response.finish_reason, type(end.error)) == expected[how]


async def test_a_mistake_in_a_callback_does_not_take_the_answer_away() -> None:
    class Clumsy(Middleware):
        async def chat(self, call: ChatCall, call_next: ChatNext) -> Answer:
            answer = await call_next(call)
            answer.on_end(lambda end: 1 / 0)  # type: ignore[arg-type,return-value]
            return answer

    async with kernel_of(Echo, Clumsy) as kernel:
        assert await both_ways(kernel, "x") == ("x ", "x ")


async def test_the_simple_hooks_see_and_change_calls_and_answers() -> None:
    seen: list[str] = []

    class Simple(Middleware):
        async def before_turn(self, call: TurnCall) -> TurnCall | None:
            seen.append("before_turn")
            return None

        async def after_turn(self, call: TurnCall, response: ChatResponse) -> ChatResponse | None:
            seen.append("after_turn")
            return response.model_copy(update={"metadata": {"by": "after_turn"}})

        async def before_chat(self, call: ChatCall) -> ChatCall:
            seen.append("before_chat")
            return replace(call, request=call.request.model_copy(update={"seed": 7}))

        async def after_chat(self, call: ChatCall, response: ChatResponse) -> ChatResponse | None:
            seen.append(f"after_chat {call.request.seed}")
            return None

    async with kernel_of(Echo, Simple) as kernel:
        response = await kernel.chat("x")
        echo = kernel.generation.providers["echo"]
        assert isinstance(echo, Echo)
        assert echo.requests[0].seed == 7
    assert seen == ["before_turn", "before_chat", "after_chat 7", "after_turn"]
    assert response.metadata == {"by": "after_turn"}


async def test_a_refusal_after_the_answer_fails_the_turn() -> None:
    class Guard(Middleware):
        async def after_chat(self, call: ChatCall, response: ChatResponse) -> None:
            message = "it talks about the weather"
            raise ContentFiltered(message)

    async with kernel_of(Echo, Guard) as kernel:
        with pytest.raises(ContentFiltered, match="weather"):
            await kernel.chat("rain")
        with pytest.raises(ContentFiltered, match="weather"):
            async with kernel.stream("rain") as stream:
                async for _ in stream:
                    pass


async def test_provider_hooks_wrap_chats_and_embeddings() -> None:
    seen: list[str] = []

    class Both(Middleware):
        async def pre_execute(self, call: object) -> None:
            seen.append(f"pre {getattr(call, 'operation', '?')}")

        async def post_execute(self, call: object, result: object) -> None:
            seen.append(f"post {type(result).__name__}")

    class Doubling(Middleware):
        async def after_embed(
            self, call: EmbedCall, response: EmbeddingResponse
        ) -> EmbeddingResponse:
            doubled = tuple(tuple(x * 2 for x in v) for v in response.embeddings)
            return response.model_copy(update={"embeddings": doubled})

    class Lengths(EmbeddingProvider):
        async def embed(
            self, request: EmbeddingRequest, context: ExecutionContext
        ) -> EmbeddingResponse:
            return EmbeddingResponse(embeddings=tuple((float(len(t)),) for t in request.input))

    async with kernel_of(Echo, Lengths, Both, Doubling) as kernel:
        await kernel.chat("x")
        response = await kernel.embed(["a", "bcd"], model="lengths/m")
    assert response.embeddings == ((2.0,), (6.0,))
    assert (response.provider, response.model) == ("lengths", "m")
    assert seen == ["pre chat", "post ChatResponse", "pre embed", "post EmbeddingResponse"]


async def test_a_middleware_may_hold_an_answer_back_and_throw_it_away() -> None:
    class Second(Middleware):
        async def chat(self, call: ChatCall, call_next: ChatNext) -> Answer:
            first = await call_next(call)
            await first.aclose()
            return await call_next(replace(call, provider="echo"))

    async with kernel_of(Gated, Echo, Second) as kernel:
        gated = kernel.generation.providers["gated"]
        assert isinstance(gated, Gated)
        assert (await kernel.chat("x")).text == "x "
        assert gated.closed.is_set()


async def test_an_answer_that_a_middleware_forgets_is_closed_with_the_turn() -> None:
    class Forgetful(Middleware):
        async def chat(self, call: ChatCall, call_next: ChatNext) -> Answer:
            self.forgotten = await call_next(call)
            message = "changed my mind"
            raise ProviderError(message)

    async with kernel_of(Gated, Forgetful) as kernel:
        gated = kernel.generation.providers["gated"]
        assert isinstance(gated, Gated)
        with pytest.raises(ProviderError, match="changed my mind"):
            await kernel.chat("x")
        assert gated.closed.is_set()


async def test_an_answer_that_nobody_reads_has_its_end_told_too() -> None:
    ends: list[End] = []

    class Replacing(Middleware):
        async def chat(self, call: ChatCall, call_next: ChatNext) -> Answer:
            await call_next(call)
            return Answer.of("mine")

    class Noting(Middleware):
        async def chat(self, call: ChatCall, call_next: ChatNext) -> Answer:
            answer = await call_next(call)
            answer.on_end(ends.append)
            return answer

    class Whole(ChatProvider):
        async def send_message(
            self, request: ChatRequest, context: ExecutionContext
        ) -> ChatResponse:
            return ChatResponse(message=ChatMessage.assistant("theirs"))

    async with kernel_of(Gated, Whole, Replacing, Noting) as kernel:
        assert await both_ways(kernel, "x") == ("mine", "mine")
        assert (await kernel.chat("x", model="whole")).text == "mine"
    assert [type(end.error) for end in ends] == [asyncio.CancelledError] * 3
    assert [end.response.text for end in ends] == ["begun ", "begun ", "theirs"]


async def test_an_answer_that_makes_no_sense_is_told_before_it_is_raised() -> None:
    ends: list[End] = []

    class Nameless(ChatProvider):
        async def send_message_stream(
            self, request: ChatRequest, context: ExecutionContext
        ) -> AsyncIterator[StreamingChunk]:
            yield StreamingChunk(text="calling", tool_calls=(ToolCallDelta(id="1"),))

    class Noting(Middleware):
        async def chat(self, call: ChatCall, call_next: ChatNext) -> Answer:
            answer = await call_next(call)
            answer.on_end(ends.append)
            return answer

    async with kernel_of(Nameless, Noting) as kernel:
        with pytest.raises(InvalidResponse, match="without saying which"):
            await kernel.chat("x")
        with pytest.raises(InvalidResponse, match="without saying which"):
            async with kernel.stream("x") as stream:
                async for _ in stream:
                    pass
    assert [type(end.error) for end in ends] == [InvalidResponse] * 2
    assert ends[0].response.finish_reason is FinishReason.ERROR


async def test_a_cancel_during_one_callback_does_not_lose_the_others() -> None:
    told = asyncio.Event()
    waiting = asyncio.Event()

    class Slow(Middleware):
        async def chat(self, call: ChatCall, call_next: ChatNext) -> Answer:
            answer = await call_next(call)

            async def hangs(end: End) -> None:
                waiting.set()
                await asyncio.Event().wait()

            answer.on_end(hangs)
            return answer

    class Noting(Middleware):
        async def chat(self, call: ChatCall, call_next: ChatNext) -> Answer:
            answer = await call_next(call)
            answer.on_end(lambda end: told.set())
            return answer

    async with kernel_of(Echo, Noting, Slow) as kernel:
        turn = asyncio.create_task(kernel.chat("x", session="s"))
        await waiting.wait()
        assert kernel.runs.cancel_session("s")
        assert (await turn).text == "x "
        assert told.is_set()


async def test_partial_answers_say_which_request_they_belong_to() -> None:
    context = ExecutionContext(request_id="r-1")
    async with kernel_of(Gated) as kernel:
        async with kernel.stream("x", context=context) as stream:
            await anext(stream)
        assert stream.response.request_id == "r-1"
