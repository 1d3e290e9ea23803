"""The contracts, run against parts that keep them."""

from collections.abc import Awaitable, Callable

import pytest

from dovetail import Answer, ChatCall, EmbedCall, EmbeddingResponse, End, Middleware
from dovetail.testing import (
    ChatProviderContract,
    EmbeddingProviderContract,
    FakeModel,
    MiddlewareContract,
    SessionStoreContract,
    Subject,
    fake,
    fake_plugin,
    plugin_of,
)


class Counting(Middleware):
    """Does a little in each operation, and harms nothing."""

    def __init__(self) -> None:
        self.ended = 0
        self.embedded = 0

    async def chat(
        self, call: ChatCall, call_next: Callable[[ChatCall], Awaitable[Answer]]
    ) -> Answer:
        answer = await call_next(call)
        answer.metadata["counted"] = True
        answer.on_end(self._count)
        answer.each(lambda chunk: chunk)
        return answer

    async def embed(
        self, call: EmbedCall, call_next: Callable[[EmbedCall], Awaitable[EmbeddingResponse]]
    ) -> EmbeddingResponse:
        self.embedded += 1
        return await call_next(call)

    def _count(self, end: End) -> None:
        self.ended += 1


class TestTheFakeModelChats(ChatProviderContract):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject(fake)


class TestTheFakeModelOfOneNameChats(ChatProviderContract):
    @pytest.fixture
    async def subject(self) -> Subject:
        return Subject(
            fake_plugin(),
            settings={"known": ["small"], "window": 100, "pause": "1ms"},
            model="small",
        )


class TestTheFakeModelEmbeds(EmbeddingProviderContract):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject(fake_plugin(FakeModel), settings={"known": ["small"]}, model="small")


class TestAMiddlewareThatCounts(MiddlewareContract):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject(plugin_of(Counting), component="counting")


class TestTheMemoryStore(SessionStoreContract):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject("in-memory", settings={"max_messages": 5000})
