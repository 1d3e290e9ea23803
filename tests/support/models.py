"""Providers that do what a test of turns needs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dovetail import ChatProvider, ChatRequest, ExecutionContext, StreamingChunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Echo(ChatProvider):
    """Says the last message back, a word a chunk, and remembers what it was sent."""

    async def start(self) -> None:
        self.requests: list[ChatRequest] = []

    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncIterator[StreamingChunk]:
        del context
        self.requests.append(request)
        for word in request.messages[-1].text.split():
            yield StreamingChunk(text=word + " ")


class Gated(ChatProvider):
    """Gives one chunk, then waits for `gate`; `closed` tells that its generator was closed."""

    async def start(self) -> None:
        self.gate = asyncio.Event()
        self.began = asyncio.Event()
        self.closed = asyncio.Event()

    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncIterator[StreamingChunk]:
        del request, context
        try:
            yield StreamingChunk(text="begun ")
            self.began.set()
            await self.gate.wait()
            yield StreamingChunk(text="done")
        finally:
            self.closed.set()


class Stubborn(ChatProvider):
    """Swallows every cancellation until `release` is set."""

    async def start(self) -> None:
        self.release = asyncio.Event()
        self.began = asyncio.Event()

    async def stop(self) -> None:
        self.release.set()

    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncIterator[StreamingChunk]:
        del request, context
        yield StreamingChunk(text="some")
        self.began.set()
        while not self.release.is_set():
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                continue
        yield StreamingChunk(text=" more")
