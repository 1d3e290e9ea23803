"""What the tests of plugin `wordllama` share: providers with the package's weights."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import pytest

from dovetail import ExecutionContext
from dovetail_wordllama import WordLlama, WordLlamaSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Open(Protocol):
    """Starts a provider with these settings; it is stopped at the end of the test."""

    async def __call__(self, **settings: object) -> WordLlama: ...


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def start(**settings: object) -> WordLlama:
            return await stack.enter_async_context(_running(settings))

        yield start


@pytest.fixture
async def provider(opened: Open) -> WordLlama:
    """A provider with the settings it has when nothing is said."""
    return await opened()


@asynccontextmanager
async def _running(settings: dict[str, object]) -> AsyncIterator[WordLlama]:
    provider = WordLlama()
    provider.settings = WordLlamaSettings.model_validate(settings)
    try:
        await provider.start()
        yield provider
    finally:
        await provider.stop()


@pytest.fixture
def context() -> ExecutionContext:
    return ExecutionContext()
