"""The plugin keeps the contracts that every provider must keep."""

from __future__ import annotations

import pytest

import dovetail_llamacpp
from dovetail import ChatMessage, ChatRequest, Kernel, SessionStatus
from dovetail.testing import ChatProviderContract, EmbeddingProviderContract, Subject


class TestChat(ChatProviderContract):
    # Answers made side by side are computed in one matrix, whose last digits depend on both.
    repeatable = False

    @pytest.fixture
    def subject(self) -> Subject:
        return Subject(dovetail_llamacpp, {"context": 1024, "threads": 1})


class TestEmbedding(EmbeddingProviderContract):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject(dovetail_llamacpp, {"context": 1024, "threads": 1})


async def test_a_conversation_through_the_kernel_goes_on_after_a_cancel() -> None:
    config = {
        "chat": {"model": "llamacpp/smollm2"},
        "providers": {"llamacpp": {"context": 1024, "threads": 1}},
    }
    kernel = Kernel.open(config, discover_installed=False).register("llamacpp", dovetail_llamacpp)
    async with kernel:
        first = await kernel.chat(ask("Name three fruits."), session="s")
        async with kernel.stream(ask("Name a thousand.", max_tokens=900), session="s") as stream:
            await anext(stream)
            stream.run.cancel()
            await stream.run.wait()
            assert stream.run.status is SessionStatus.CANCELLED
        last = await kernel.chat(ask("And now three trees."), session="s")
    assert first.usage is not None
    assert last.usage is not None
    assert (last.usage.prompt_tokens or 0) > (first.usage.total_tokens or 0)


def ask(prompt: str, max_tokens: int = 16) -> ChatRequest:
    return ChatRequest(
        messages=(ChatMessage.user(prompt),), max_tokens=max_tokens, temperature=0, seed=7
    )
