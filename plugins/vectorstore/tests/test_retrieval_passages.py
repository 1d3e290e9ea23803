"""What stands in a prompt of what was found, and which words are looked for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail_vectorstore import Hit, Stored
from dovetail_vectorstore.keywords import keywords
from dovetail_vectorstore.passages import passages, place_of
from dovetail_vectorstore.tokens import estimate_tokens


def hit(text: str, source: str = "a.md", **metadata: Any) -> Hit:
    return Hit(Stored("1", text, source, metadata, "", ""), 1.0)


@pytest.mark.parametrize(
    ("metadata", "place"),
    [
        ({}, "a.md"),
        ({"line": 3, "end_line": 3}, "a.md, line 3"),
        ({"headings": ["A", "B"], "line": 3, "end_line": 9}, 'a.md, "A > B", lines 3 to 9'),
        ({"page": 2}, "a.md, page 2"),
        ({"page": 2, "end_page": 3}, "a.md, pages 2 to 3"),
        ({"headings": 5, "page": "2\n[2] b.md"}, "a.md, page 2 [2] b.md"),
    ],
)
def test_a_place_is_said_in_words(metadata: dict[str, Any], place: str) -> None:
    assert place_of("a.md", metadata) == place


def test_a_passage_that_does_not_fit_is_cut_between_sentences() -> None:
    found = passages([hit("Oak is hard. " * 20)], 40)
    assert found.text.startswith("[1] a.md\nOak is hard. Oak")
    assert found.text.endswith("hard.…")
    assert passages([hit("x" * 5000)], 40).places == ("a.md",)
    assert passages([hit("Oak is hard. " * 20)], 12).text == ""


@given(
    st.lists(st.text(alphabet="ab. \né界", min_size=1, max_size=300), max_size=5),
    st.integers(16, 200),
)
def test_no_passages_have_more_tokens_than_the_budget(texts: list[str], budget: int) -> None:
    found = passages([hit(text, headings=["A"]) for text in texts], budget)
    assert estimate_tokens(found.text) <= budget
    assert found.text.count("[") == len(found.places)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("How do I write a plugin?", "write plugin"),
        ("What does the PDF reader do with UTF-8?", "PDF reader UTF-8"),
        ("Is it so?", "Is it so?"),
        ("", ""),
        ("木工とは何ですか", "木工とは何ですか"),
        ("Does v2 of GPT-4 know Go?", "v2 GPT-4 Go"),
    ],
)
def test_a_search_by_words_looks_for_those_that_tell(question: str, words: str) -> None:
    assert keywords(question) == words
