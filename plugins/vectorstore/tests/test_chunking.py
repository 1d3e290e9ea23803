"""How documents are cut into chunks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail_vectorstore.chunking import chunks_of
from dovetail_vectorstore.documents import Block, Chunk
from dovetail_vectorstore.readers import read_document
from dovetail_vectorstore.tokens import estimate_tokens

WORDS = "Oak is hard. Pine is soft. Ash bends well. Elm splits badly. Yew makes bows."


def chunks(*blocks: Block, limit: int = 20, overlap: int = 0) -> list[Chunk]:
    return list(chunks_of(blocks, limit=limit, overlap=overlap, count=words))


def words(text: str) -> int:
    return len(text.split())


def test_what_fits_together_is_one_chunk() -> None:
    (chunk,) = chunks(Block("one two", line=1), Block("three", line=4))
    assert (chunk.body, chunk.line, chunk.end_line) == ("one two\n\nthree", 1, 4)


def test_a_chunk_never_goes_over_a_heading() -> None:
    one, two = chunks(Block("a", ("A",), 2), Block("b", ("A", "B"), 5))
    assert (one.text, two.text) == ("A\n\na", "A > B\n\nb")
    assert (two.line, two.end_line) == (5, 5)


def test_a_block_is_kept_whole_where_it_can_be() -> None:
    found = chunks(Block("w " * 12, line=1), Block("v " * 12, line=2), limit=20)
    assert [chunk.body.split() for chunk in found] == [["w"] * 12, ["v"] * 12]


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    found = chunks(Block(WORDS, line=7), limit=9)
    assert [chunk.body for chunk in found] == [
        "Oak is hard. Pine is soft. Ash bends well.",
        "Elm splits badly. Yew makes bows.",
    ]


def test_the_last_sentences_begin_the_next_chunk() -> None:
    one, two = chunks(Block(WORDS, line=7), limit=9, overlap=4)
    assert one.body == "Oak is hard. Pine is soft. Ash bends well."
    assert two.body == "Ash bends well. Elm splits badly. Yew makes bows."


def test_the_end_of_a_paragraph_begins_the_next_chunk_too() -> None:
    one, two = chunks(Block(WORDS, line=7), Block("Fir is tall.", line=9), limit=17, overlap=5)
    assert one.body == WORDS
    assert two.body == "Yew makes bows.\n\nFir is tall."
    assert (two.line, two.end_line) == (7, 9)


def test_the_end_of_code_begins_what_follows_only_in_the_same_code() -> None:
    code = Block("a = 1\nb = 2\nc = 3\nd = 4\ne = 5", line=1, code=True)
    one, two, three = chunks(code, Block("Words about it.", line=7), limit=9, overlap=3)
    assert (one.body, one.line, one.end_line) == ("a = 1\nb = 2\nc = 3", 1, 3)
    assert (two.body, two.line, two.end_line) == ("c = 3\nd = 4\ne = 5", 3, 5)
    assert (three.body, three.line) == ("Words about it.", 7)


def test_nothing_is_carried_over_where_it_would_not_fit() -> None:
    _, two = chunks(Block(WORDS), Block("w " * 9), limit=17, overlap=2)
    assert two.body.split() == ["w"] * 9


def test_nothing_is_carried_over_a_heading() -> None:
    _, two = chunks(Block("Oak is hard. Pine.", ("A",)), Block("Ash.", ("B",)), overlap=5)
    assert two.body == "Ash."


def test_a_list_is_cut_between_its_items() -> None:
    items = "- oak is hard\n  and heavy\n- pine is soft\n- ash bends"
    found = chunks(Block(items, line=1), limit=9)
    assert [chunk.body for chunk in found] == [
        "- oak is hard\n  and heavy",
        "- pine is soft\n- ash bends",
    ]
    assert [(chunk.line, chunk.end_line) for chunk in found] == [(1, 2), (3, 4)]


def test_code_is_cut_between_lines_and_keeps_its_indent() -> None:
    code = "def f():\n    one = 1\n    two = 2\n    three = 3\n    return one + two + three"
    found = chunks(Block(code, ("f",), 10, code=True), limit=9)
    assert "\n".join(chunk.body for chunk in found) == code
    assert all(chunk.body.startswith("    ") for chunk in found[1:])
    assert found[0].line == 10
    assert found[-1].end_line == 14


def test_what_has_no_spaces_is_cut_anywhere() -> None:
    found = list(chunks_of([Block("x" * 1000)], limit=16, overlap=0))
    assert "".join(chunk.body for chunk in found) == "x" * 1000
    assert max(estimate_tokens(chunk.text) for chunk in found) <= 16


def test_a_heading_with_nothing_under_it_is_found_too() -> None:
    (chunk,) = chunks(Block("", ("Index",), 3))
    assert (chunk.text, chunk.line) == ("Index", 3)


def test_headings_that_would_fill_a_chunk_are_not_in_its_text() -> None:
    (chunk,) = chunks(Block("words", ("long " * 15,)))
    assert (chunk.text, chunk.headings) == ("words", ("long " * 15,))


def test_a_chunk_over_two_pages_names_both() -> None:
    (chunk,) = chunks(Block("end", page=3), Block("begin", page=4))
    assert (chunk.page, chunk.end_page, chunk.line) == (3, 4, None)


@pytest.mark.parametrize(("limit", "overlap"), [(7, 0), (20, 11), (20, -1)])
def test_sizes_that_cannot_be_are_refused(limit: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        chunks(Block("a"), limit=limit, overlap=overlap)


DOCUMENTS = st.text(alphabet="ab .!#\n-|`界é1", min_size=1, max_size=800)


@given(DOCUMENTS, st.integers(8, 60), st.integers(0, 4), st.sampled_from(["md", "txt", "rs"]))
def test_no_chunk_is_too_long_and_nothing_is_lost(
    text: str, limit: int, overlap: int, suffix: str
) -> None:
    blocks = list(read_or_none(text, suffix))
    found = list(chunks_of(blocks, limit=limit, overlap=overlap))
    assert all(estimate_tokens(chunk.text) <= limit for chunk in found)
    there = "".join("".join(chunk.body.split()) for chunk in found)
    wanted = "".join("".join(block.text.split()) for block in blocks)
    assert len(there) >= len(wanted)
    if not overlap:
        assert there == wanted


@given(DOCUMENTS, st.integers(8, 60))
def test_every_line_number_is_where_the_words_are(text: str, limit: int) -> None:
    lines = text.split("\n")
    for chunk in chunks_of(read_or_none(text, "txt"), limit=limit, overlap=0):
        assert chunk.line is not None
        assert chunk.end_line is not None
        there = "".join("\n".join(lines[chunk.line - 1 : chunk.end_line]).split())
        assert "".join(chunk.body.split()) in there


def read_or_none(text: str, suffix: str) -> list[Block]:
    return read_document(text.encode(), f"a.{suffix}") if text.strip(" .!\n#-|`") else []


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("the", 1), ("retrieval", 2), ("a, b.", 4), ("木工", 2), ("12", 2)],
)
def test_the_estimate(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens
