"""What answers: the base classes of model providers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from dovetail.chat.accumulator import StreamingToNonStreamingConverter
from dovetail.chat.chunks import chunks_of
from dovetail.component import Component

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from dovetail.chat.chunks import StreamingChunk
    from dovetail.chat.requests import ChatRequest, EmbeddingRequest
    from dovetail.chat.responses import ChatResponse, EmbeddingResponse, ModelInfo
    from dovetail.context import ExecutionContext


class Provider(Component):
    """What chat and embedding providers share."""

    async def models(self) -> Sequence[ModelInfo]:
        """The models it offers now; empty if it cannot say."""
        return ()


class ChatProvider(Provider):
    """Talks to a model. Implement `send_message_stream` or `send_message`, or both.

    What it raises should be a `ProviderError`; the kernel fills in the instance's name.
    """

    async def send_message(self, request: ChatRequest, context: ExecutionContext) -> ChatResponse:
        """The whole answer to `request`. Without it the stream is read to its end.

        `request.model` is what follows the first slash of the host's model, or empty.
        """
        stream = self.send_message_stream(request, context)
        return await StreamingToNonStreamingConverter().convert(stream)

    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncIterator[StreamingChunk]:
        """The answer's chunks as they come. Without it the whole answer is one chunk.

        An end without a finish reason means `stop`. If the reader goes away the generator is
        closed: close the upstream connection in a `finally`.
        """
        for chunk in chunks_of(await self.send_message(request, context)):
            yield chunk

    async def count_tokens(self, request: ChatRequest) -> int | None:
        """Tokens that the messages and tools take; None if it cannot say."""
        return None

    async def context_window(self, model: str) -> int | None:
        """Tokens that prompt and answer may take together; None if it cannot say."""
        return None


class EmbeddingProvider(Provider, ABC):
    """Turns texts into vectors."""

    @abstractmethod
    async def embed(
        self, request: EmbeddingRequest, context: ExecutionContext
    ) -> EmbeddingResponse:
        """One vector for each text of `request.input`, in order."""

    async def token_counter(self, model: str = "") -> Callable[[str], int] | None:
        """What says how many tokens a text has for `model`; None if that needs a server.

        It is called in any thread and thousands of times, also after the provider was stopped.
        """
        return None


def overrides(component: Component, base: type[Component], method: str) -> bool:
    """Whether `component`'s class has its own `method` rather than `base`'s."""
    return getattr(type(component), method) is not getattr(base, method)
