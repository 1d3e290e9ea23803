"""What the tests of plugin `openai` share: a scripted server, and providers that talk to it."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import pytest

from dovetail import ChatMessage, ChatRequest, ExecutionContext
from dovetail.testing import Upstream
from dovetail_openai import OpenAI, OpenAISettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dovetail import StreamingChunk

CHAT = "/chat/completions"


class Open(Protocol):
    """Starts a provider with these settings; it is stopped at the end of the test."""

    async def __call__(self, **settings: object) -> OpenAI: ...


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as running:
        yield running


@pytest.fixture(params=["aiohttp", "httpx"])
def transport(request: pytest.FixtureRequest) -> str:
    """Each library that moves bytes."""
    return str(request.param)


@pytest.fixture
async def opened(upstream: Upstream) -> AsyncIterator[Open]:
    """Providers of the scripted server, unless the settings name another."""
    async with AsyncExitStack() as stack:

        async def start(**settings: object) -> OpenAI:
            known = {"base_url": f"{upstream.url}/v1", "model": "scripted", **settings}
            return await stack.enter_async_context(_running(known))

        yield start


@pytest.fixture
async def provider(opened: Open) -> OpenAI:
    return await opened()


@asynccontextmanager
async def _running(settings: dict[str, object]) -> AsyncIterator[OpenAI]:
    provider = OpenAI()
    provider.settings = OpenAISettings.model_validate(settings)
    try:
        await provider.start()
        yield provider
    finally:
        await provider.stop()


def ask(prompt: str = "Hello", **fields: object) -> ChatRequest:
    """A request with one message."""
    return ChatRequest.model_validate({"messages": (ChatMessage.user(prompt),), **fields})


async def chunks_of(provider: OpenAI, request: ChatRequest | None = None) -> list[StreamingChunk]:
    """What it streams."""
    stream = provider.send_message_stream(request or ask(), ExecutionContext())
    async with aclosing(stream):
        return [chunk async for chunk in stream]
