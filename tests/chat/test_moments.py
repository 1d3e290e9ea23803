"""Moments that are easy to forget: leaving, cancelling and closing at any step, turns at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import (
    Answer,
    ChatCall,
    ChatMessage,
    ChatProvider,
    ChatRequest,
    ChatResponse,
    EmbeddingProvider,
    EmbeddingRequest,
    EmbeddingResponse,
    EventProvider,
    ExecutionContext,
    FinishReason,
    Kernel,
    KernelClosed,
    Middleware,
    SessionBusy,
    SessionStatus,
    StreamingChunk,
)
from tests.support.kernels import kernel_of
from tests.support.models import Echo, Gated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    ChatNext = Callable[[ChatCall], Awaitable[Answer]]


async def texts(kernel: Kernel, session: str) -> list[str]:
    found = await kernel.sessions.get_session(session)
    return [message.text for message in found.history] if found else []


async def loops(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


async def test_a_stream_left_before_its_turn_took_a_step_does_not_hang() -> None:
    class Silent(ChatProvider):
        async def send_message_stream(
            self, request: ChatRequest, context: ExecutionContext
        ) -> AsyncIterator[StreamingChunk]:
            await asyncio.Event().wait()
            yield StreamingChunk(text="never")

    async with kernel_of(Silent) as kernel:
        async with kernel.stream("x", session="s"):
            pass
        assert kernel.runs.get_active_session_count() == 0
        assert await texts(kernel, "s") == []


@pytest.mark.parametrize("steps", range(0, 30, 2))
async def test_a_cancel_at_any_step_leaves_nothing_behind(steps: int) -> None:
    async with kernel_of(Echo) as kernel:
        before = len(asyncio.all_tasks())
        turn = asyncio.create_task(kernel.chat("one two three", session="s"))
        await loops(steps)
        kernel.runs.cancel_session("s")
        await turn
        await loops(3)
        assert len(asyncio.all_tasks()) == before
        assert kernel.generation.users == 0
        assert len(await texts(kernel, "s")) in (0, 2)
        assert (await kernel.chat("again", session="s")).text == "again "


async def test_a_providers_clean_up_is_not_cancelled_when_its_reader_leaves() -> None:
    cleaned = asyncio.Event()

    class Careful(ChatProvider):
        async def send_message_stream(
            self, request: ChatRequest, context: ExecutionContext
        ) -> AsyncIterator[StreamingChunk]:
            try:
                while True:
                    yield StreamingChunk(text="x")
                    await asyncio.sleep(0)
            finally:
                await asyncio.sleep(0.01)
                cleaned.set()

    async with kernel_of(Careful) as kernel:
        async with kernel.stream("x") as stream:
            await anext(stream)
        assert cleaned.is_set()


async def test_closing_a_forgotten_answer_may_be_cancelled_without_losing_the_turn() -> None:
    class SlowToClose(ChatProvider):
        closing = asyncio.Event()

        async def send_message_stream(
            self, request: ChatRequest, context: ExecutionContext
        ) -> AsyncIterator[StreamingChunk]:
            try:
                yield StreamingChunk(text="a")
            finally:
                self.closing.set()
                await asyncio.Event().wait()

    class Replaces(Middleware):
        async def chat(self, call: ChatCall, call_next: ChatNext) -> Answer:
            await call_next(call)
            return Answer.of("mine")

    async with kernel_of(SlowToClose, Replaces, kernel={"cancel_grace": 0.05}) as kernel:
        turn = asyncio.create_task(kernel.chat("x", session="s"))
        await SlowToClose.closing.wait()
        kernel.runs.cancel_session("s")
        assert (await turn).text == "mine"
        assert await texts(kernel, "s") == ["x", "mine"]


async def test_a_context_may_serve_several_turns_at_once() -> None:
    shared = ExecutionContext()
    async with kernel_of(Echo) as kernel:
        await asyncio.gather(
            kernel.chat("from ann", session="a", user="ann", context=shared),
            kernel.chat("from bob", session="b", user="bob", context=shared),
        )
        for session, user in (("a", "ann"), ("b", "bob")):
            found = await kernel.sessions.get_session(session, user_id=user)
            assert found is not None
            assert [m.text for m in found.history] == [f"from {user}", f"from {user} "]
    assert (shared.session_id, shared.user_id) == (None, None)


async def test_a_stranger_can_neither_block_a_session_nor_hide_its_runs() -> None:
    async with kernel_of(Gated, Echo, sessions={"max_waiting": 1}) as kernel:
        await kernel.chat("mine", model="echo", session="s", user="ann")
        async with kernel.stream("x", session="s", user="ann") as stream:
            await anext(stream)
            for _ in range(3):
                await asyncio.gather(
                    *(kernel.chat("y", session="s", user="eve") for _ in range(3)),
                    return_exceptions=True,
                )
            status = kernel.runs.get_session_status("s", user_id="ann")
            assert status is SessionStatus.RUNNING
            waiting = asyncio.create_task(kernel.chat("z", session="s", user="ann"))
            await loops(3)
            assert kernel.runs.cancel_session("s", user_id="ann")
        assert (await waiting).finish_reason is FinishReason.CANCELLED


async def test_a_turn_further_out_that_holds_the_session_is_seen() -> None:
    class Nests(ChatProvider):
        kernel: Kernel

        async def send_message(
            self, request: ChatRequest, context: ExecutionContext
        ) -> ChatResponse:
            depth = int(request.messages[-1].text)
            if depth:
                await self.kernel.chat(f"{depth - 1}", session="inner")
            else:
                with pytest.raises(SessionBusy, match="held by the turn"):
                    await self.kernel.chat("x", session="outer")
            return ChatResponse(message=ChatMessage.assistant("done"))

    async with kernel_of(Nests) as kernel:
        provider = kernel.generation.providers["nests"]
        assert isinstance(provider, Nests)
        provider.kernel = kernel
        assert (await kernel.chat("1", session="outer")).text == "done"


async def test_closing_goes_on_to_its_end_though_it_is_cancelled() -> None:
    stopped = asyncio.Event()

    class Slow(Echo):
        async def stop(self) -> None:
            await asyncio.sleep(0.02)
            stopped.set()

    kernel = await kernel_of(Slow).start()
    closing = asyncio.create_task(kernel.close())
    await loops(2)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert stopped.is_set()
    assert await kernel.close() == []


async def test_an_embedding_in_flight_ends_with_the_kernel() -> None:
    class Waits(EmbeddingProvider):
        began = asyncio.Event()
        ended = asyncio.Event()

        async def embed(
            self, request: EmbeddingRequest, context: ExecutionContext
        ) -> EmbeddingResponse:
            self.began.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.ended.set()
            return EmbeddingResponse(embeddings=())

    kernel = await kernel_of(Waits).start()
    call = asyncio.create_task(kernel.embed("x", model="waits"))
    await Waits.began.wait()
    await kernel.close()
    assert Waits.ended.is_set()
    with pytest.raises(KernelClosed, match="during the call"):
        await call


async def test_a_turn_that_is_torn_down_after_it_was_kept_gives_its_answer() -> None:
    class Cancels(EventProvider):
        events = ("agent_complete",)

        async def handle_event(self, event: str, data: Any) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

    async with kernel_of(Echo, Cancels) as kernel:
        assert (await kernel.chat("x", session="s")).text == "x "
        assert await texts(kernel, "s") == ["x", "x "]
