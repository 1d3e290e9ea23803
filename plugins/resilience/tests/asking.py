"""Models that fail as told, and the ways to ask them."""

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from dovetail import (
    ChatResponse,
    EmbeddingRequest,
    EmbeddingResponse,
    ExecutionContext,
    Kernel,
    Middleware,
)
from dovetail.testing import FakeModel

Ask = Callable[..., Awaitable[ChatResponse | EmbeddingResponse]]


class Model(FakeModel):
    """A fake model whose vectors can be told to fail, too."""

    def __init__(self, *replies: Any) -> None:
        super().__init__(*replies)
        self.embed_errors: deque[Exception] = deque()
        self.embeds = 0

    async def embed(
        self, request: EmbeddingRequest, context: ExecutionContext
    ) -> EmbeddingResponse:
        self.embeds += 1
        if self.embed_errors:
            raise self.embed_errors.popleft()
        return await super().embed(request, context)

    def will_fail(self, *errors: Exception) -> None:
        """Whatever it is asked next, chats or vectors, raises these first."""
        self.will_say(*errors)
        self.embed_errors.extend(errors)

    @property
    def asked(self) -> int:
        """How often it was asked for anything."""
        return len(self.calls) + self.embeds


class Open(Protocol):
    """Makes a running kernel of what the table of `resilience` holds."""

    def __call__(
        self, *more: type[Middleware], **settings: Any
    ) -> AbstractAsyncContextManager[Kernel]: ...


async def chat(kernel: Kernel, model: str = "") -> ChatResponse:
    return await kernel.chat("Hello", model=model)


async def stream(kernel: Kernel, model: str = "") -> ChatResponse:
    async with kernel.stream("Hello", model=model) as answer:
        async for _ in answer:
            pass
    assert answer.response is not None
    return answer.response


async def embed(kernel: Kernel, model: str = "") -> EmbeddingResponse:
    return await kernel.embed("Hello", model=model)
