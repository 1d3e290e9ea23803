"""A turn as a host sees it."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING

import pytest

from dovetail import (
    ChatMessage,
    ChatProvider,
    ChatRequest,
    ChatResponse,
    DovetailError,
    ExecutionContext,
    FinishReason,
    InvalidRequest,
    Kernel,
    KernelBusy,
    ModelNotFound,
    ProviderError,
    SessionBusy,
    StreamingChunk,
    Usage,
    current_context,
)
from tests.support.kernels import kernel_of
from tests.support.models import Echo, Gated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def texts(kernel: Kernel, session: str) -> list[str]:
    """The stored history of a session."""
    found = await kernel.sessions.get_session(session)
    return [message.text for message in found.history] if found else []


async def test_a_chat_gives_the_whole_answer_with_who_gave_it() -> None:
    async with kernel_of(Echo) as kernel:
        response = await kernel.chat("well met")
    assert response.text == "well met "
    assert response.provider == "echo"
    assert response.finish_reason is FinishReason.STOP


async def test_a_stream_gives_the_chunks_and_then_the_same_answer() -> None:
    async with kernel_of(Echo) as kernel, kernel.stream("well met") as stream:
        assert [chunk.text async for chunk in stream] == ["well ", "met "]
        assert stream.response.text == "well met "


async def test_a_provider_with_whole_answers_only_can_be_streamed() -> None:
    class Whole(ChatProvider):
        async def send_message(
            self, request: ChatRequest, context: ExecutionContext
        ) -> ChatResponse:
            return ChatResponse(
                message=ChatMessage.assistant("all of it"),
                usage=Usage(prompt_tokens=1, completion_tokens=3),
                extras={"kept": 1},
            )

    async with kernel_of(Whole) as kernel:
        whole = await kernel.chat("x")
        async with kernel.stream("x") as stream:
            assert [chunk.text async for chunk in stream] == ["all of it"]
        assert stream.response == whole
        assert whole.provider == "whole"


async def test_the_system_message_is_sent_but_not_kept() -> None:
    request = ChatRequest(messages=(ChatMessage.system("be brief"), ChatMessage.user("hi")))
    async with kernel_of(Echo) as kernel:
        await kernel.chat(request, session="s")
        await kernel.chat(request, session="s")
        echo = kernel.generation.providers["echo"]
        assert isinstance(echo, Echo)
        assert [m.text for m in echo.requests[1].messages] == ["be brief", "hi", "hi ", "hi"]
        assert await texts(kernel, "s") == ["hi", "hi ", "hi", "hi "]


async def test_the_model_after_the_first_slash_is_what_the_provider_gets() -> None:
    async with kernel_of(Echo) as kernel:
        await kernel.chat("x", model="echo/family/model:7b")
        echo = kernel.generation.providers["echo"]
        assert isinstance(echo, Echo)
        assert echo.requests[-1].model == "family/model:7b"


async def test_leaving_a_stream_closes_the_provider_and_keeps_what_came() -> None:
    async with kernel_of(Gated) as kernel:
        gated = kernel.generation.providers["gated"]
        assert isinstance(gated, Gated)
        async with kernel.stream("x", session="s") as stream:
            await anext(stream)
        assert gated.closed.is_set()
        assert stream.response.finish_reason is FinishReason.CANCELLED
        assert await texts(kernel, "s") == ["x", "begun "]
        found = await kernel.sessions.get_session("s")
        assert found is not None
        assert found.history[-1].metadata["finish_reason"] == "cancelled"


async def test_what_a_reader_raises_passes_through_and_the_turn_is_cancelled() -> None:
    async with kernel_of(Gated) as kernel:
        with pytest.raises(ZeroDivisionError):
            async with kernel.stream("x", session="s") as stream:
                async for _ in stream:
                    1 / 0  # noqa: B018 - the error is the point
        assert kernel.runs.get_active_session_count() == 0
        assert await texts(kernel, "s") == ["x", "begun "]


async def test_a_caller_that_is_cancelled_takes_the_turn_with_it() -> None:
    async with kernel_of(Gated) as kernel:
        gated = kernel.generation.providers["gated"]
        assert isinstance(gated, Gated)
        caller = asyncio.create_task(kernel.chat("x", session="s"))
        await gated.began.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert gated.closed.is_set()
        assert await texts(kernel, "s") == ["x", "begun "]


async def test_a_time_limit_of_the_host_works_around_a_stream() -> None:
    async with kernel_of(Gated) as kernel:
        gated = kernel.generation.providers["gated"]
        assert isinstance(gated, Gated)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), kernel.stream("x", session="s") as stream:
                async for _ in stream:
                    pass
        assert gated.closed.is_set()
        assert await texts(kernel, "s") == ["x", "begun "]


async def test_an_error_in_mid_answer_keeps_what_came_and_is_raised() -> None:
    class Breaks(ChatProvider):
        async def send_message_stream(
            self, request: ChatRequest, context: ExecutionContext
        ) -> AsyncIterator[StreamingChunk]:
            yield StreamingChunk(text="half")
            message = "the roof fell in; key sk-abcdefghijklmnopqrstuvwx"
            raise RuntimeError(message)

    async with kernel_of(Breaks) as kernel:
        with pytest.raises(ProviderError, match="the roof fell in") as caught:
            await kernel.chat("x", session="s")
        assert "sk-abcdefghijkl" not in str(caught.value)
        assert caught.value.details.provider == "breaks"
        assert caught.value.response is not None
        assert caught.value.response.finish_reason is FinishReason.ERROR
        assert isinstance(caught.value.__cause__, RuntimeError)
        assert await texts(kernel, "s") == ["x", "half"]
        with pytest.raises(ProviderError, match="the roof fell in"):
            async with kernel.stream("x", session="s") as stream:
                assert [chunk.text async for chunk in stream] == ["half"]


async def test_an_error_before_anything_came_keeps_nothing() -> None:
    class Fails(ChatProvider):
        async def send_message(
            self, request: ChatRequest, context: ExecutionContext
        ) -> ChatResponse:
            raise KeyError("no")

    async with kernel_of(Fails) as kernel:
        with pytest.raises(ProviderError, match="KeyError"):
            await kernel.chat("x", session="s")
        assert await texts(kernel, "s") == []


async def test_a_cancel_that_nobody_asked_for_is_the_providers_error() -> None:
    class Quits(ChatProvider):
        async def send_message_stream(
            self, request: ChatRequest, context: ExecutionContext
        ) -> AsyncIterator[StreamingChunk]:
            yield StreamingChunk(text="a")
            raise asyncio.CancelledError

    async with kernel_of(Quits) as kernel:
        with pytest.raises(ProviderError, match="cancelled itself"):
            await kernel.chat("x")


async def test_a_context_variable_that_a_provider_sets_does_not_leak() -> None:
    leaky: ContextVar[str] = ContextVar("leaky", default="clean")

    class Leaks(ChatProvider):
        async def send_message_stream(
            self, request: ChatRequest, context: ExecutionContext
        ) -> AsyncIterator[StreamingChunk]:
            token = leaky.set("dirty")
            assert current_context() is context
            yield StreamingChunk(text="a")
            leaky.reset(token)

    async with kernel_of(Leaks) as kernel, kernel.stream("x") as stream:
        async for _ in stream:
            assert leaky.get() == "clean"
            assert current_context() is None


async def test_a_provider_may_yield_inside_a_task_group() -> None:
    class Grouped(ChatProvider):
        async def send_message_stream(
            self, request: ChatRequest, context: ExecutionContext
        ) -> AsyncIterator[StreamingChunk]:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(3600))
                yield StreamingChunk(text="a")
                yield StreamingChunk(text="b")
                await asyncio.sleep(3600)

    async with kernel_of(Grouped) as kernel:
        before = len(asyncio.all_tasks())
        async with kernel.stream("x") as stream:
            await anext(stream)
        assert len(asyncio.all_tasks()) == before


async def test_a_slow_reader_holds_the_provider_back() -> None:
    made = 0

    class Eager(ChatProvider):
        async def send_message_stream(
            self, request: ChatRequest, context: ExecutionContext
        ) -> AsyncIterator[StreamingChunk]:
            nonlocal made
            for _ in range(10_000):
                made += 1
                yield StreamingChunk(text="x")

    async with kernel_of(Eager) as kernel, kernel.stream("x") as stream:
        await anext(stream)
        for _ in range(100):
            await asyncio.sleep(0)
        assert made <= 66
        assert len([chunk async for chunk in stream]) == 9_999


async def test_a_stream_may_be_read_by_another_task() -> None:
    async with kernel_of(Echo) as kernel, kernel.stream("a b c") as stream:

        async def read() -> list[str]:
            return [chunk.text async for chunk in stream]

        assert await asyncio.create_task(read()) == ["a ", "b ", "c "]


async def test_a_stream_is_entered_first_and_once() -> None:
    async with kernel_of(Echo) as kernel:
        stream = kernel.stream("x")
        with pytest.raises(DovetailError, match="async with"):
            await anext(stream)
        async with stream:
            with pytest.raises(DovetailError, match="still coming"):
                _ = stream.response
            with pytest.raises(DovetailError, match="once"):
                await stream.__aenter__()


async def test_a_turn_inside_a_turn_may_not_wait_for_its_own_session() -> None:
    class Nested(ChatProvider):
        async def send_message(
            self, request: ChatRequest, context: ExecutionContext
        ) -> ChatResponse:
            with pytest.raises(SessionBusy, match="held by the turn this is called in"):
                await self.kernel.chat("inner", model="echo", session="s")
            inner = await self.kernel.chat("inner", model="echo")
            child = await self.kernel.chat("child", model="echo", context=context)
            return ChatResponse(message=ChatMessage.assistant(inner.text + child.text))

        kernel: Kernel

    async with kernel_of(Nested, Echo) as kernel:
        nested = kernel.generation.providers["nested"]
        assert isinstance(nested, Nested)
        nested.kernel = kernel
        assert (await kernel.chat("x", session="s")).text == "inner child "
        assert await texts(kernel, "s") == ["x", "inner child "]


async def test_an_unknown_instance_names_the_nearest_and_what_to_install() -> None:
    async with kernel_of(Echo) as kernel:
        with pytest.raises(ModelNotFound) as caught:
            await kernel.chat("x", model="ecko/m")
        assert caught.value.details.nearest == ("echo/m",)
        assert "pip install dovetail-ecko" in str(caught.value)


async def test_an_unknown_model_names_the_nearest_of_its_instance() -> None:
    from dovetail import ModelInfo

    class Choosy(ChatProvider):
        async def models(self) -> list[ModelInfo]:
            return [ModelInfo(id="tiny-llama"), ModelInfo(id="mistral")]

        async def send_message(
            self, request: ChatRequest, context: ExecutionContext
        ) -> ChatResponse:
            message = f"no model `{request.model}`"
            raise ModelNotFound(message)

    async with kernel_of(Choosy) as kernel:
        with pytest.raises(ModelNotFound, match="did you mean `choosy/tiny-llama`"):
            await kernel.chat("x", model="choosy/tiny-lama")


async def test_a_session_resent_whole_has_nothing_to_answer() -> None:
    async with kernel_of(Echo) as kernel:
        await kernel.chat("hi", session="s")
        again = [ChatMessage.user("hi"), ChatMessage.assistant("hi ")]
        with pytest.raises(InvalidRequest, match="in the session already"):
            await kernel.chat(again, session="s")
        await kernel.chat([*again, ChatMessage.user("and?")], session="s")
        assert await texts(kernel, "s") == ["hi", "hi ", "and?", "and? "]


async def test_nobody_talks_in_a_session_that_plugins_keep_things_in() -> None:
    async with kernel_of(Echo) as kernel:
        with pytest.raises(InvalidRequest, match="cannot begin with `~`, as '~notes/ada' does"):
            await kernel.chat("hi", session="~notes/ada", user="bob")
        assert await kernel.sessions.get_session("~notes/ada") is None
        assert await kernel.sessions.get_session(
            "~notes/ada", create_if_missing=True, user_id="ada"
        )


async def test_more_turns_than_allowed_are_refused_at_once() -> None:
    async with (
        kernel_of(Gated, kernel={"max_turns": 1}) as kernel,
        kernel.stream("x") as stream,
    ):
        await anext(stream)
        with pytest.raises(KernelBusy, match="max_turns"):
            await kernel.chat("y")


async def test_closing_the_kernel_ends_the_turns_in_flight_and_keeps_them() -> None:
    kernel = kernel_of(Gated)
    await kernel.start()
    sessions = kernel.sessions
    gated = kernel.generation.providers["gated"]
    assert isinstance(gated, Gated)
    caller = asyncio.create_task(kernel.chat("x", session="s"))
    await gated.began.wait()
    assert await kernel.close() == []
    assert (await caller).finish_reason is FinishReason.CANCELLED
    found = await sessions.get_session("s")
    assert found is not None
    assert [m.text for m in found.history] == ["x", "begun "]
