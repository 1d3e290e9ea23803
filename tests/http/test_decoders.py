"""The decoders give the same for every split of the bytes, and fail in one way only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic_core import from_json, to_json

from dovetail import InvalidResponse, NdjsonDecoder, ServerSentEvent, SseDecoder
from dovetail.http.lines import LONGEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    Outcome: TypeAlias = tuple[list[Any], bool]

LINE_ENDS = ("\n", "\r", "\r\n")
WORD = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=8)
TOKENS = (
    *(b"data", b"data:", b"data: ", b"event: e", b"id: 1", b"id: \0", b"retry: 9", b":", b" "),
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xff", b"x" * 70),
    *(b"{", b"}", b'"', b"[1]", b"null", b"retry: " + b"9" * 5000),
)
NOISE = st.lists(st.sampled_from(TOKENS) | st.binary(max_size=6)).map(b"".join)


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    places = draw(st.lists(st.integers(0, len(data)), max_size=12).map(sorted))
    starts, ends = [0, *places], [*places, len(data)]
    return [data[start:end] for start, end in zip(starts, ends, strict=True)]


@st.composite
def noise_and_pieces(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    data = draw(NOISE)
    return data, draw(cut(data))


def sse(pieces: list[bytes], longest: int = 64) -> Outcome:
    decoder, found = SseDecoder(longest), []
    try:
        for piece in (*pieces, b""):
            found += decoder.feed(piece)
    except InvalidResponse:
        return found, True
    return found, False


def ndjson(pieces: list[bytes], longest: int = 64) -> Outcome:
    decoder, found = NdjsonDecoder(longest), []
    try:
        for piece in pieces:
            found += decoder.feed(piece)
        found += decoder.end()
    except InvalidResponse:
        return [repr(value) for value in found], True
    return [repr(value) for value in found], False  # NaN is not equal to itself


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


@given(noise_and_pieces())
@example((b"retry: " + b"9" * 5000 + b"\ndata:\n\n", []))
def test_events_are_the_same_for_every_split(case: tuple[bytes, list[bytes]]) -> None:
    data, pieces = case
    assert sse([data]) == sse(pieces or [data]) == sse(bytewise(data))


@given(noise_and_pieces())
def test_values_are_the_same_for_every_split(case: tuple[bytes, list[bytes]]) -> None:
    data, pieces = case
    assert ndjson([data]) == ndjson(pieces) == ndjson(bytewise(data))


def written(events: list[tuple[str, list[str]]], end: str) -> Iterator[str]:
    for name, lines in events:
        yield ": a comment" + end
        if name:
            yield f"event: {name}{end}"
        yield from (f"data: {line}{end}" for line in lines)
        yield end


@given(
    st.lists(st.tuples(WORD, st.lists(WORD, min_size=1, max_size=3)), max_size=4),
    st.sampled_from(LINE_ENDS),
    st.booleans(),
    st.data(),
)
def test_what_a_server_writes_is_what_is_read(
    events: list[tuple[str, list[str]]], end: str, marked: bool, choices: st.DataObject
) -> None:
    """With every kind of line end, and with a byte order mark or without."""
    data = ("\ufeff" * marked + "".join(written(events, end))).encode()
    found, failed = sse(choices.draw(cut(data)), LONGEST)
    assert not failed
    assert found == [
        ServerSentEvent("\n".join(lines).encode(), name or "message") for name, lines in events
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | WORD | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(JSON, max_size=5), st.sampled_from(["\n", "\r\n", "\n\n"]), st.data())
def test_values_that_a_server_writes_are_those_that_are_read(
    values: list[Any], end: str, choices: st.DataObject
) -> None:
    data = b"".join(to_json(value) + end.encode() for value in values)
    expected = [repr(from_json(to_json(value))) for value in values]
    assert ndjson(choices.draw(cut(data)), LONGEST) == (expected, False)
    assert ndjson([data.rstrip()], LONGEST) == (expected, False)  # the last end may be missing


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"data: a\n\ndata: b\n", [b"a"]),
        (b"data: a\n\ndata: b", [b"a"]),
        (b"data: a\r\rdata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\n\r\ndata: b\n\n", [b"a", b"b"]),
        ("data: a\u2028b\u0085c\n\n".encode(), ["a\u2028b\u0085c".encode()]),
        (b"data:  a \n\n", [b" a "]),
        (b"data\n\ndata:\n\n", [b"", b""]),
        (b"data\ndata\n\n", [b"\n"]),
        (b":\n\n: comment\n\nevent: x\n\n", []),
        (b"dat: a\nDATA: b\n data: c\n\n", []),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
        (b"data: \xff\xfe\n\n", [b"\xff\xfe"]),
    ],
)
def test_events_as_the_standard_has_them(data: bytes, events: list[bytes]) -> None:
    for pieces in ([data], bytewise(data)):
        assert [event.data for event in sse(pieces)[0]] == events


def test_name_id_and_time_of_an_event() -> None:
    decoder = SseDecoder()
    first, second = decoder.feed(
        b"event: x\nid: 7\nretry: 250\nretry: soon\ndata: a\n\nid: 8\0\ndata: b\n\n"
    )
    assert (first.event, first.id, first.retry) == ("x", "7", 250)
    assert (second.event, second.id, second.retry) == ("message", "7", 250)


def test_a_name_without_data_does_not_reach_the_next_event() -> None:
    (event,) = SseDecoder().feed(b"event: x\n\ndata: a\n\n")
    assert event.event == "message"


def test_a_retry_of_thousands_of_digits_is_left_out() -> None:
    (event,) = SseDecoder().feed(b"retry: " + b"9" * 10_000 + b"\ndata: a\n\n")
    assert event.retry is None


def test_an_event_without_end_has_a_bound() -> None:
    decoder = SseDecoder(longest=1000)
    with pytest.raises(InvalidResponse, match="an event of more than"):
        for _ in range(1000):
            decoder.feed(b"data\n")


def test_a_line_without_end_has_a_bound() -> None:
    for decoder in (SseDecoder(longest=1000), NdjsonDecoder(longest=1000)):
        decoder.feed(b"x" * 1000)
        with pytest.raises(InvalidResponse, match="a line of more than"):
            decoder.feed(b"x")


def test_what_came_before_a_bad_line_is_given_first() -> None:
    decoder = NdjsonDecoder()
    assert decoder.feed(b"1\n2\n<html>\n3\n") == [1, 2]
    for _ in range(2):
        with pytest.raises(InvalidResponse, match="is not JSON: '<html>'"):
            decoder.feed(b"4\n")
    with pytest.raises(InvalidResponse):
        decoder.end()


def test_a_line_cut_in_its_middle_is_an_error_at_the_end() -> None:
    decoder = NdjsonDecoder()
    assert decoder.feed(b'{"a": 1}\n{"a": ') == [{"a": 1}]
    with pytest.raises(InvalidResponse, match="is not JSON"):
        decoder.end()


@pytest.mark.parametrize("line", [b"[" * 100_000, b'"\xff"', b'"\\ud800"', b"nul", b"1 2", b"\0"])
def test_bad_json_is_an_invalid_response(line: bytes) -> None:
    with pytest.raises(InvalidResponse, match="is not JSON"):
        NdjsonDecoder().feed(line + b"\n")
