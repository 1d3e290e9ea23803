"""Texts are cut where the tokenizer does not notice."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dovetail_wordllama import pieces
from dovetail_wordllama.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Iterator

LETTERS = ("a", "the", "x==", "Ä", "東京", "🌱")
WORDS = (*LETTERS, "\n", "\t", "\u2581", "\u00a0", "<s>", "</s>", "<", ">")
SPACES = ("", " ", " ", "  ", "    ")


@pytest.fixture(scope="module")
def weights() -> Weights:
    spec = find_spec("wordllama")
    assert spec is not None
    assert spec.submodule_search_locations
    return Weights(Path(spec.submodule_search_locations[0]))


@pytest.fixture(scope="module", autouse=True)
def short() -> Iterator[None]:
    """Pieces of 40 characters, so that short texts have several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE", 40)
        yield


@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(SPACES)), min_size=20))
def test_pieces_cut_at_spaces_have_the_tokens_of_the_whole(
    weights: Weights, words: list[tuple[str, str]]
) -> None:
    text = "".join(word + space for word, space in words)
    parts = [piece for batch in pieces.batches([text], 64) for piece in batch]
    assume(" ".join(part.text for part in parts) == text)
    whole = weights.tokens([text])[0]
    assert list(chain.from_iterable(weights.tokens([part.text for part in parts]))) == whole


@given(st.lists(st.text(min_size=1, max_size=200), max_size=20), st.integers(1, 5))
def test_nothing_is_lost_but_the_spaces_between_pieces(texts: list[str], size: int) -> None:
    parts = []
    for batch in pieces.batches(texts, size):
        assert 0 < len(batch) <= size
        parts += batch
    for place, text in enumerate(texts):
        end = 0
        for part in (part for part in parts if part.place == place):
            assert text[end : part.start] in {"", " "}
            end = part.start + len(part.text)
            assert text[part.start : end] == part.text
            assert 0 < len(part.text) <= 40
        assert end == len(text)
