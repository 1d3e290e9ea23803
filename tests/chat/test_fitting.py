"""History that does not fit the model's window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dovetail import (
    ChatMessage,
    ChatProvider,
    ChatRequest,
    ChatResponse,
    ContextTooLong,
    ExecutionContext,
    ProviderUnavailable,
)
from tests.support.kernels import kernel_of

if TYPE_CHECKING:
    from dovetail import Kernel


class Small(ChatProvider):
    """A model of 100 tokens that counts a token a word."""

    summaries = True

    async def start(self) -> None:
        self.requests: list[ChatRequest] = []

    async def send_message(self, request: ChatRequest, context: ExecutionContext) -> ChatResponse:
        self.requests.append(request)
        if "Summarise" in request.messages[-1].text:
            if not self.summaries:
                message = "no summaries today"
                raise ProviderUnavailable(message)
            return ChatResponse(message=ChatMessage.assistant("they counted"))
        return ChatResponse(message=ChatMessage.assistant("ok " * 9 + "ok"))

    async def count_tokens(self, request: ChatRequest) -> int:
        return sum(len(message.text.split()) for message in request.messages)

    async def context_window(self, model: str) -> int:
        return 100


def small(kernel: Kernel) -> Small:
    """The provider that runs."""
    provider = kernel.generation.providers["small"]
    assert isinstance(provider, Small)
    return provider


async def talk(kernel: Kernel, turns: int) -> None:
    """Turns of ten words and ten words of answer."""
    for turn in range(turns):
        request = ChatRequest(
            messages=(ChatMessage.user(f"turn {turn}" + " word" * 8),), max_tokens=20
        )
        await kernel.chat(request, session="s")


async def test_the_oldest_turns_are_left_out_whole() -> None:
    async with kernel_of(Small) as kernel:
        await talk(kernel, 8)
        last = small(kernel).requests[-1]
        assert await small(kernel).count_tokens(last) <= 80
        assert [m.text[:6] for m in last.messages if m.role == "user"] == [
            "turn 4",
            "turn 5",
            "turn 6",
            "turn 7",
        ]
        session = await kernel.sessions.get_session("s")
        assert session is not None
        assert len(session.history) == 16


async def test_a_conversation_that_does_not_fit_may_be_refused() -> None:
    async with kernel_of(Small, chat={"history_fit": "refuse"}) as kernel:
        with pytest.raises(ContextTooLong, match="takes 90 tokens and there is room for 80"):
            await talk(kernel, 8)


async def test_the_oldest_turns_may_be_summarised_once_for_several_turns() -> None:
    async with kernel_of(Small, chat={"history_fit": "summarise"}) as kernel:
        await talk(kernel, 8)
        asked = [r for r in small(kernel).requests if "Summarise" in r.messages[-1].text]
        assert 0 < len(asked) < 3
        last = small(kernel).requests[-1]
        assert "they counted" in last.messages[0].text
        assert last.messages[-1].text.startswith("turn 7")


async def test_without_a_summary_the_oldest_turns_are_left_out_all_the_same() -> None:
    class Grumpy(Small):
        summaries = False

    async with kernel_of(Grumpy, chat={"history_fit": "summarise"}) as kernel:
        await talk(kernel, 6)
        provider = kernel.generation.providers["grumpy"]
        assert isinstance(provider, Grumpy)
        assert provider.requests[-1].messages[0].text.startswith("turn")


async def test_where_nobody_counts_the_config_says_how_large_the_window_is() -> None:
    class Blind(ChatProvider):
        seen = 0

        async def send_message(
            self, request: ChatRequest, context: ExecutionContext
        ) -> ChatResponse:
            type(self).seen = len(request.messages)
            return ChatResponse(message=ChatMessage.assistant("x" * 400))

    async with kernel_of(Blind, chat={"context_window": 500, "answer_tokens": 100}) as kernel:
        for _ in range(10):
            await kernel.chat("y" * 40, session="s")
        assert Blind.seen == 7
