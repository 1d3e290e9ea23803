"""What vectors texts get."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dovetail import EmbeddingRequest, InvalidRequest, ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail import ExecutionContext
    from dovetail_wordllama import WordLlama
    from plugins.wordllama.tests.conftest import Open

ENGLISH = "The committee postponed its decision until the harvest was in. "
MIXED = "Ein Ärger: naïve  façades, 東京の天気 🌱\n\tif x == 1:    return y\r\n<s> ▁odd▁ \x00 "
TEXTS = (
    "One line.",
    ENGLISH * 400,
    MIXED * 300,
    "  two  spaces  " * 900,
    "now a <s> then " * 900,
    " ",
    "\n",
    "x",
)
EXACT = 1e-4
"""How far the numbers of two vectors may be apart that were summed in another order."""


async def embedded(
    provider: WordLlama, context: ExecutionContext, *texts: str, dimensions: int | None = None
) -> Sequence[tuple[float, ...]]:
    request = EmbeddingRequest(input=texts, dimensions=dimensions)
    return (await provider.embed(request, context)).embeddings


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


@pytest.mark.parametrize("dimensions", [64, 128, 256])
@pytest.mark.parametrize("normalize", [True, False])
async def test_vectors_are_those_of_wordllama_itself(
    opened: Open, context: ExecutionContext, dimensions: int, *, normalize: bool
) -> None:
    package = importlib.import_module("wordllama")
    own = package.WordLlama.load(
        cache_dir=Path(str(package.__file__)).parent, trunc_dim=dimensions, disable_download=True
    )
    provider = await opened(dimensions=dimensions, normalize=normalize)
    for text in TEXTS:
        answer = await provider.embed(EmbeddingRequest(input=(text,)), context)
        wanted = own.embed(text, norm=normalize)[0].tolist()
        assert answer.embeddings[0] == pytest.approx(wanted, abs=EXACT)
        assert answer.usage is not None
        assert answer.usage.prompt_tokens == len(own.tokenize(text)[0].ids)


async def test_tokens_are_counted_as_they_are_embedded(
    provider: WordLlama, context: ExecutionContext
) -> None:
    count = await provider.token_counter()
    assert count is not None
    for text in TEXTS:
        answer = await provider.embed(EmbeddingRequest(input=(text,)), context)
        assert answer.usage is not None
        assert answer.usage.prompt_tokens == count(text)
    assert count("half \ud800 of a pair") > 0
    assert await provider.token_counter("another") is None


async def test_similar_texts_are_nearer_than_others(
    provider: WordLlama, context: ExecutionContext
) -> None:
    cat, also_cat, code = await embedded(
        provider,
        context,
        "The cat sat on the mat.",
        "A kitten was sitting on the rug.",
        "SELECT name FROM users WHERE age > 30;",
    )
    assert cosine(cat, also_cat) > cosine(cat, code) + 0.2


async def test_vectors_have_length_one_unless_they_shall_not(
    opened: Open, context: ExecutionContext
) -> None:
    for vector in await embedded(await opened(), context, *TEXTS):
        assert math.hypot(*vector) == pytest.approx(1, abs=EXACT)
    (plain,) = await embedded(await opened(normalize=False), context, TEXTS[0])
    assert math.hypot(*plain) > 1.5


async def test_a_request_may_ask_for_other_dimensions_than_the_settings(
    opened: Open, context: ExecutionContext
) -> None:
    provider = await opened(dimensions=64)
    (short,) = await embedded(provider, context, "one")
    (long,) = await embedded(provider, context, "one", dimensions=256)
    assert (len(short), len(long)) == (64, 256)
    assert cosine(short, long[:64]) == pytest.approx(1)


async def test_dimensions_the_weights_were_not_trained_for_are_refused(
    provider: WordLlama, context: ExecutionContext
) -> None:
    with pytest.raises(InvalidRequest, match="64, 128, 256 dimensions, not of 100"):
        await embedded(provider, context, "one", dimensions=100)


async def test_a_text_without_spaces_is_cut_and_has_almost_the_same_vector(
    opened: Open, context: ExecutionContext
) -> None:
    provider = await opened()
    whole, repeated = await embedded(provider, context, "春眠暁を覚えず", "春眠暁を覚えず" * 20_000)
    assert cosine(whole, repeated) > 0.99


async def test_the_number_of_tokens_is_told(provider: WordLlama, context: ExecutionContext) -> None:
    request = EmbeddingRequest(input=("Hello world", "Hello"))
    answer = await provider.embed(request, context)
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (3, 3)
    assert answer.model == "l2_supercat"


async def test_an_empty_text_is_refused_by_its_number(
    provider: WordLlama, context: ExecutionContext
) -> None:
    with pytest.raises(InvalidRequest, match="text 2 is empty, which has no vector: leave it out"):
        await embedded(provider, context, "one", "", "two")


@pytest.mark.parametrize("before", ["caf\u00e9 ", ENGLISH * 200])
async def test_half_of_a_surrogate_pair_is_refused_where_it_stands(
    provider: WordLlama, context: ExecutionContext, before: str
) -> None:
    said = f"text 2 has half of a surrogate pair at character {len(before) + 1},"
    with pytest.raises(InvalidRequest, match=said):
        await embedded(provider, context, "one", f"{before}\ud83d and on")


async def test_a_model_it_does_not_have_is_not_found(
    provider: WordLlama, context: ExecutionContext
) -> None:
    provider.instance = "local"
    with pytest.raises(ModelNotFound, match="there is no model `l3_supercat`") as caught:
        await provider.embed(EmbeddingRequest(input=("one",), model="l3_supercat"), context)
    assert "local/l2_supercat" in str(caught.value)
    assert [model.id for model in await provider.models()] == ["l2_supercat"]
