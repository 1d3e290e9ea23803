"""What the tests of plugin `ollama` share: a scripted server, and a provider that talks to it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from dovetail import ChatMessage, ChatRequest, ExecutionContext
from dovetail.testing import Upstream
from dovetail.testing.leaks import Census
from dovetail_ollama import Ollama, OllamaSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Open(Protocol):
    """Starts a provider with these settings; it is stopped at the end of the test."""

    async def __call__(self, **settings: object) -> Ollama: ...


class Ask(Protocol):
    """Makes a request of a user's one message."""

    def __call__(self, prompt: str = "Why is the sky blue?", **fields: object) -> ChatRequest: ...


@pytest.fixture
async def tidy() -> AsyncIterator[None]:
    """Fail a test that leaves a task or a socket."""
    before = Census.take()
    yield
    found = await before.settled()
    # The loop keeps the threads in which it looked up names.
    assert [what for what in found if not what.endswith("threads")] == []


@pytest.fixture
async def upstream(tidy: None) -> AsyncIterator[Upstream]:
    async with Upstream() as upstream:
        yield upstream


@pytest.fixture(params=["aiohttp", "httpx"])
def transport(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def opened(upstream: Upstream) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def start(**settings: object) -> Ollama:
            provider = Ollama()
            known = {"base_url": upstream.url, "model": "llama3.2", "num_ctx": 4096}
            provider.settings = OllamaSettings.model_validate({**known, **settings})
            provider.instance = "ollama"
            stack.push_async_callback(provider.stop)
            await provider.start()
            return provider

        yield start


@pytest.fixture
def context() -> ExecutionContext:
    return ExecutionContext()


@pytest.fixture
def ask() -> Ask:
    def make(prompt: str = "Why is the sky blue?", **fields: object) -> ChatRequest:
        return ChatRequest.model_validate({"messages": (ChatMessage.user(prompt),), **fields})

    return make
