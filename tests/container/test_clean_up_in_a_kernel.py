"""What was built in a kernel is cleaned up, also when something fails, hangs or never begins."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from dovetail import (
    ChatProvider,
    ChatRequest,
    EmbeddingProvider,
    EmbeddingRequest,
    EmbeddingResponse,
    ExecutionContext,
    KernelBusy,
    Middleware,
    StartError,
    StreamingChunk,
    TurnCall,
    current_context,
)
from tests.support.kernels import kernel_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class One(ChatProvider):
    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncIterator[StreamingChunk]:
        yield StreamingChunk(text="one/")


async def test_an_embedding_has_its_context_and_ends_it_though_cleaning_up_fails() -> None:
    class Asks(EmbeddingProvider):
        async def embed(
            self, request: EmbeddingRequest, context: ExecutionContext
        ) -> EmbeddingResponse:
            assert current_context() is context
            await kernel.container.aget("loan")
            return EmbeddingResponse(embeddings=((1.0,),))

    async def loan(context: ExecutionContext) -> AsyncIterator[int]:
        yield 1
        raise OSError("it is lost")

    async with kernel_of(Asks) as kernel:
        kernel.container.register_factory("loan", loan)
        with capture_logs() as logs:
            assert (await kernel.embed("a")).embeddings == ((1.0,),)
    assert [entry["log_level"] for entry in logs] == ["error"]


async def test_a_clean_up_that_hangs_does_not_take_the_answer_away() -> None:
    class Borrows(Middleware):
        async def before_turn(self, call: TurnCall) -> None:
            await kernel.container.aget("first")
            await kernel.container.aget("second")

    async def loan(context: ExecutionContext) -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    limits = {"commit_timeout": 0.05, "stop_timeout": 0.05}
    async with kernel_of(One, Borrows, kernel=limits) as kernel:
        kernel.container.register_factory("first", loan)
        kernel.container.register_factory("second", loan)
        with capture_logs():
            for _ in range(2):
                assert (await kernel.chat("hi", session="s")).text == "one/"
        kept = await kernel.sessions.get_session("s")
        assert kept is not None
        assert kept.message_count == 4


async def test_an_embedding_that_never_begins_leaves_nothing_behind() -> None:
    class Waits(EmbeddingProvider):
        async def embed(
            self, request: EmbeddingRequest, context: ExecutionContext
        ) -> EmbeddingResponse:
            await asyncio.Event().wait()
            raise AssertionError

    async with kernel_of(Waits, kernel={"max_turns": 1}) as kernel:
        first = asyncio.create_task(kernel.embed("a"))
        await asyncio.sleep(0)
        with pytest.raises(KernelBusy):
            await kernel.embed("b")
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
    gc.collect()  # a coroutine that was never awaited would complain


async def test_a_start_that_fails_leaves_nothing_open() -> None:
    class Takes(EmbeddingProvider):
        async def start(self) -> None:
            await kernel.container.aget("pool")
            raise OSError("no")

        async def embed(
            self, request: EmbeddingRequest, context: ExecutionContext
        ) -> EmbeddingResponse:
            raise AssertionError

    async def pool() -> AsyncIterator[int]:
        yield 1
        closed.append("pool")

    closed: list[str] = []
    kernel = kernel_of(Takes)
    kernel.container.register_factory("pool", pool)
    with pytest.raises(StartError):
        await kernel.start()
    assert closed == ["pool"]
