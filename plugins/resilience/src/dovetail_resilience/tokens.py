"""How many tokens a call may take, before anybody has counted them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dovetail import ChatRequest, EmbeddingRequest

CHARACTERS = 4
"""A token is about so many characters of English."""
FRAME = 4
"""Tokens around each message."""
ANSWER = 500
"""Tokens of an answer whose request sets no `max_tokens`."""


def tokens_of_chat(request: ChatRequest) -> int:
    """Prompt and answer together."""
    prompt = sum(FRAME + len(message.text) // CHARACTERS for message in request.messages)
    return prompt + (ANSWER if request.max_tokens is None else request.max_tokens)


def tokens_of_texts(request: EmbeddingRequest) -> int:
    """All texts together."""
    return sum(1 + len(text) // CHARACTERS for text in request.input)
