"""Texts become vectors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from dovetail import ContextTooLong, EmbeddingRequest, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail import ExecutionContext
    from dovetail_llamacpp import LlamaCpp
    from plugins.llamacpp.tests.conftest import Open, Requests


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


async def test_similar_texts_are_nearer_than_others(
    provider: LlamaCpp, context: ExecutionContext
) -> None:
    texts = ("The cat sat on the mat.", "A cat was sitting on a mat.", "def f(x): return x ** 2")
    answer = await provider.embed(EmbeddingRequest(input=texts), context)
    cat, also_cat, code = answer.embeddings
    assert {len(vector) for vector in answer.embeddings} == {576}
    assert _cosine(cat, also_cat) > _cosine(cat, code)
    assert answer.model == "smollm2"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens


async def test_texts_of_any_length_get_the_same_vectors_together_as_alone(
    opened: Open, context: ExecutionContext
) -> None:
    provider = await opened(context=256, slots=3)
    texts = tuple(f"The number {i} is {'very ' * (i * 37 % 90)}large." for i in range(12))
    together = await provider.embed(EmbeddingRequest(input=texts), context)
    for text, vector in zip(texts, together.embeddings, strict=True):
        alone = await provider.embed(EmbeddingRequest(input=(text,)), context)
        assert _cosine(vector, alone.embeddings[0]) > 0.999, text


async def test_the_same_model_chats_and_embeds(
    provider: LlamaCpp, context: ExecutionContext, ask: Requests
) -> None:
    request = EmbeddingRequest(input=("one",))
    before = await provider.embed(request, context)
    assert (await provider.send_message(ask.short("Hello"), context)).text
    assert (await provider.embed(request, context)).embeddings == before.embeddings


async def test_other_dimensions_than_the_models_are_refused(
    provider: LlamaCpp, context: ExecutionContext
) -> None:
    with pytest.raises(InvalidRequest, match="576 dimensions, not of 64"):
        await provider.embed(EmbeddingRequest(input=("one",), dimensions=64), context)


async def test_a_text_past_the_context_is_refused_with_both_numbers(
    opened: Open, context: ExecutionContext
) -> None:
    provider = await opened(context=256)
    with pytest.raises(ContextTooLong, match=r"has 60\d tokens .* holds 256"):
        await provider.embed(EmbeddingRequest(input=("word " * 600,)), context)


async def test_an_empty_text_is_refused(provider: LlamaCpp, context: ExecutionContext) -> None:
    with pytest.raises(InvalidRequest, match="empty"):
        await provider.embed(EmbeddingRequest(input=("",)), context)
