"""What the bytes of an answer mean, however they are cut."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail import (
    ChatResponse,
    ContextTooLong,
    FinishReason,
    InvalidResponse,
    ProviderError,
    ProviderUnavailable,
    StreamingAccumulator,
    StreamInterrupted,
)
from dovetail_ollama.response_parser import ChatParser, embedding_of, was_cut
from plugins.ollama.tests.samples import EMBEDDED, FIRST, LAST, TOOLS, lines

if TYPE_CHECKING:
    from dovetail import StreamingChunk


def said(**message: object) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", **message}, "done": False}


def parsed(
    pieces: list[bytes], num_ctx: int = 0, estimated: int = 0
) -> tuple[list[StreamingChunk], ProviderError | None]:
    """The chunks, and the error that ended them."""
    parser = ChatParser(num_ctx, estimated)
    chunks: list[StreamingChunk] = []
    try:
        for piece in pieces:
            for chunk in parser.feed(piece):
                chunks.append(chunk)  # noqa: PERF402 - those before an error count too
        for chunk in parser.end():
            chunks.append(chunk)  # noqa: PERF402 - as above
    except ProviderError as error:
        return chunks, error
    return chunks, None


def answer(*values: object, num_ctx: int = 0, estimated: int = 0) -> ChatResponse:
    chunks, error = parsed([lines(*values)], num_ctx, estimated)
    assert error is None
    accumulator = StreamingAccumulator()
    for chunk in chunks:
        accumulator.add(chunk)
    return accumulator.response()


TOKEN = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
STREAMS = {
    "unknown fields first": lines({**said(content=""), "remote_model": "m"}, FIRST, LAST),
    "plain": lines(FIRST, said(content=" sky 🌤"), LAST),
    "thinking": lines(said(content="", thinking="Hm, \u2028 é"), said(content="Blue."), LAST),
    "tools": lines(
        said(tool_calls=[{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]), LAST
    ),
    "an error": lines(FIRST, {"error": "an error was encountered while running the model"}),
    "no end": lines(FIRST, said(content=" sky")),
    "cut in a line": lines(FIRST, LAST)[:-40],
    "no newline at the end": lines(FIRST, LAST)[:-1],
    "blank lines": b"\n \r\n" + lines(FIRST) + b"\n\n" + lines(LAST),
    "garbage": lines(FIRST) + b"<html>\n" + lines(LAST),
    "other JSON": lines(FIRST, [1, 2], LAST),
}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
def test_every_split_of_the_bytes_says_the_same(stream: bytes) -> None:
    def shape(pieces: list[bytes]) -> object:
        chunks, error = parsed(pieces)
        told = [(c.text, c.reasoning, len(c.tool_calls), c.finish_reason, c.usage) for c in chunks]
        return told, type(error), str(error)

    whole = shape([stream])
    assert shape([stream[i : i + 1] for i in range(len(stream))]) == whole
    for at in range(len(stream) + 1):
        assert shape([stream[:at], stream[at:]]) == whole


def test_the_last_line_has_the_usage_and_the_times_in_seconds() -> None:
    response = answer(FIRST, LAST)
    assert response.text == "The"
    assert response.model == "llama3.2"
    assert response.finish_reason is FinishReason.STOP
    assert response.usage is not None
    assert response.usage.prompt_tokens == 26
    assert response.usage.completion_tokens == 282
    assert response.usage.total_tokens == 308
    assert response.extras["timings"] == {
        "total_s": 4.883583458,
        "load_s": 0.001334875,
        "prompt_s": 0.342546,
        "answer_s": 4.535599,
        "tokens_per_s": 62.17,
    }


def test_a_count_that_is_missing_is_unknown_and_zero_is_not_missing() -> None:
    without = {k: v for k, v in LAST.items() if k != "prompt_eval_count"}
    usage = answer(FIRST, without).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (None, 282, None)
    usage = answer(FIRST, {**LAST, "eval_count": 0}).usage
    assert usage is not None
    assert (usage.completion_tokens, usage.total_tokens) == (0, 26)
    assert answer(FIRST, {"done": True}).usage is None


def test_thinking_is_kept_apart_from_the_answer() -> None:
    response = answer(
        said(content="", thinking="The sky, "), said(thinking="hm."), said(content="Blue."), LAST
    )
    assert response.message.reasoning == "The sky, hm."
    assert response.text == "Blue."


def test_tool_calls_get_ids_and_their_own_finish_reason() -> None:
    response = answer(TOOLS)
    assert response.finish_reason is FinishReason.TOOL_CALLS
    (call,) = response.message.tool_calls
    assert call.name == "get_current_weather"
    assert json.loads(call.arguments) == {"format": "celsius", "location": "Paris, FR"}
    assert call.id.startswith("call_")


@pytest.mark.parametrize(
    "habit",
    [
        [{}, {}],
        [{"index": 0}, {"index": 1}],
        [{"index": 0}, {"index": 0}],
        [{"id": "a"}, {"id": "b"}],
        [{"id": "a"}, {"id": "a"}],
        [{"id": "a", "index": 0}, {"id": "b", "index": 0}],
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_parallel_calls_stay_apart_whatever_their_ids_and_indices(
    habit: list[dict[str, Any]], together: bool
) -> None:
    calls = []
    for number, marks in enumerate(habit):
        function: dict[str, Any] = {"name": "add", "arguments": {"n": number}}
        if "index" in marks:
            function["index"] = marks["index"]
        calls.append({"function": function, **({"id": marks["id"]} if "id" in marks else {})})
    said_so = [said(tool_calls=calls)] if together else [said(tool_calls=[c]) for c in calls]
    response = answer(*said_so, {**LAST, "done_reason": "stop"})
    made = response.message.tool_calls
    assert [json.loads(call.arguments) for call in made] == [{"n": 0}, {"n": 1}]
    assert len({call.id for call in made}) == 2
    assert response.finish_reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    ("done_reason", "meant"),
    [
        ("stop", FinishReason.STOP),
        (None, FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("load", "load"),
        ("something new", "something new"),
    ],
)
def test_done_reasons(done_reason: str | None, meant: FinishReason | str) -> None:
    assert answer(FIRST, {**LAST, "done_reason": done_reason}).finish_reason == meant


def test_an_answer_that_fills_the_window_after_tool_calls_is_still_too_long() -> None:
    assert answer({**TOOLS, "done_reason": "length"}).finish_reason is FinishReason.LENGTH


def test_what_is_not_known_is_kept_in_extras() -> None:
    response = answer(
        {**FIRST, "remote_model": "gpt-oss:120b"},
        {**said(content="x"), "message": {"content": "x", "mood": "fine"}},
        LAST,
    )
    assert response.extras["remote_model"] == "gpt-oss:120b"
    assert response.extras["message"] == {"mood": "fine"}


def test_what_is_not_known_waits_for_the_first_chunk_that_says_something() -> None:
    remote = {**said(content=""), "remote_model": "gpt-oss:120b", "remote_host": "ollama.com"}
    odd = {**said(content=""), "remote_host": "ollama.com:443", "logprobs": [TOKEN]}
    for first in (said(content="Blue."), said(thinking="Hm."), TOOLS, LAST):
        (chunk,), _ = parsed([lines(remote, said(content=""), odd, first)])
        assert chunk.text or chunk.reasoning or chunk.tool_calls or chunk.finish_reason
        assert chunk.extras is not None
        assert chunk.extras["remote_model"] == "gpt-oss:120b"
        assert chunk.extras["remote_host"] == "ollama.com:443"
        assert chunk.logprobs is not None
        assert [token.token for token in chunk.logprobs.content] == ["a"]


def test_what_is_not_known_comes_as_it_comes_once_something_was_said() -> None:
    chunks, _ = parsed([lines(FIRST, {**said(content=""), "late": 1})])
    assert [(chunk.text, chunk.extras) for chunk in chunks] == [("The", None), ("", {"late": 1})]


def test_not_much_more_than_64_kib_wait() -> None:
    """A reader who never hears of a stream that goes on for ever can only wait for ever."""
    odd = lines({**said(), "x": 1, "logprobs": [TOKEN]})
    parser, fed = ChatParser(), 0
    chunks: list[StreamingChunk] = []
    while not chunks:
        chunks = list(parser.feed(odd))
        fed += len(odd)
        assert fed < 2 * 65_536
    assert fed > 65_536
    (chunk,) = chunks
    assert chunk.extras == {"x": 1}
    assert chunk.logprobs is not None
    assert len(chunk.logprobs.content) == fed // len(odd)


@pytest.mark.parametrize("number", ["1e999", "NaN", "9" * 400, "-1"])
def test_a_number_that_counts_nothing_does_not_spoil_an_answer(number: str) -> None:
    last = (
        b'{"message": {"content": "a"}, "done": true, "eval_count": %b, "total_duration": %b, '
        b'"eval_duration": 5}\n'
    )
    chunks, error = parsed([last % (number.encode(), number.encode())])
    assert error is None
    assert [chunk.text for chunk in chunks] == ["a"]
    assert chunks[0].extras == {"timings": {"answer_s": 5e-9}}


def test_an_answer_that_breaks_off_before_it_says_something_has_no_chunk() -> None:
    for end in (b"", lines({"error": "it crashed"}), b"garbage\n"):
        chunks, error = parsed([lines({**said(content=""), "remote_model": "m"}) + end])
        assert chunks == []
        assert error is not None


@pytest.mark.parametrize("what", ["load", "unload"])
def test_a_model_that_was_only_loaded_has_not_answered(what: str) -> None:
    chunks, error = parsed([lines(said(content=""), {"done": True, "done_reason": what})])
    assert chunks == []
    assert isinstance(error, InvalidResponse)
    assert f"the server only {what}ed the model and answered nothing" in str(error)
    assert "`base_url`" in str(error)
    assert not error.details.may_retry


def test_log_probabilities_are_kept() -> None:
    other = {"token": "b", "logprob": -0.7, "top_logprobs": [{"token": "c", "logprob": -1.5}]}
    logprobs = answer(
        {**FIRST, "logprobs": [TOKEN]}, {**said(content="b"), "logprobs": [other]}, LAST
    ).logprobs
    assert logprobs is not None
    assert [t.token for t in logprobs.content] == ["a", "b"]
    assert logprobs.content[1].top[0].logprob == -1.5


def test_an_error_in_mid_stream_comes_after_what_was_said() -> None:
    chunks, error = parsed([lines(FIRST, {"error": "llama runner process has terminated"})])
    assert [chunk.text for chunk in chunks] == ["The"]
    assert isinstance(error, ProviderUnavailable)
    assert "llama runner process has terminated" in str(error)


def test_an_error_that_speaks_of_the_context_is_its_own_kind() -> None:
    _, error = parsed([lines({"error": "the input exceeds the context length"})])
    assert isinstance(error, ContextTooLong)


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (b"", "ended before it began"),
        (lines(FIRST), "ended before it was complete"),
        (lines(FIRST, LAST)[:-30], "broke off in the middle of a line"),
    ],
)
def test_an_end_without_done_is_no_end(stream: bytes, why: str) -> None:
    _, error = parsed([stream])
    assert isinstance(error, StreamInterrupted)
    assert why in str(error)


@pytest.mark.parametrize(
    "line",
    [
        b"<html>bad gateway</html>",
        b"[]",
        b'"text"',
        b"17",
        b'{"message": []}',
        b'{"message": {"content": 5}}',
        b'{"message": {"tool_calls": 5}}',
        b'{"message": {"tool_calls": [5]}}',
        b'{"message": {"tool_calls": [{"function": 5}]}}',
        b'{"message": {"tool_calls": [{"function": {"name": 5}}]}}',
        b'{"message": {"content": "x"}, "logprobs": 5}',
        b'{"message": {"content": "x"}, "logprobs": [5]}',
        b'{"message": {"content": "x"}, "logprobs": [{}]}',
    ],
)
@pytest.mark.parametrize("end", [b"\n", b""])
def test_what_ollama_would_not_say_is_an_invalid_response(line: bytes, end: bytes) -> None:
    if line == b'{"message": []}':
        line = b'{"message": [1]}'  # an empty one says as little as none
    _, error = parsed([line + end])
    assert isinstance(error, InvalidResponse)


def test_a_huge_line_is_read() -> None:
    text = "x" * 20_000_000
    stream = lines(said(content=text), LAST)
    chunks, error = parsed([stream[i : i + 65_536] for i in range(0, len(stream), 65_536)])
    assert error is None
    assert chunks[0].text == text


def test_what_follows_the_end_is_not_looked_at() -> None:
    chunks, error = parsed([lines(FIRST, LAST, {"error": "late"}), b"<html"])
    assert error is None
    assert len(chunks) == 2


@given(st.lists(st.binary(max_size=60) | st.sampled_from([lines(FIRST), lines(TOOLS), b"\n"])))
def test_no_bytes_raise_anything_but_a_provider_error(pieces: list[bytes]) -> None:
    whole, first = parsed([b"".join(pieces)])
    split, second = parsed(pieces)
    assert (len(whole), type(first)) == (len(split), type(second))


KEYS: tuple[str, ...] = ("message", "content", "tool_calls", "function", "name", "arguments", "id")
KEYS = (*KEYS, "done", "done_reason", "error", "eval_count", "eval_duration", "logprobs", "model")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from((*KEYS, "x")),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_no_json_raises_anything_but_a_provider_error(value: object) -> None:
    parsed([lines(value)])


@pytest.mark.parametrize(
    ("read", "num_ctx", "estimated", "cut"),
    [
        (4096, 4096, 6000, True),  # older versions fill the window
        (2050, 4096, 12_000, True),  # newer ones half of it
        (32770, 65536, 120_000, True),
        (2050, 4096, 2100, False),  # a prompt that just has that length
        (3000, 4096, 12_000, True),  # the oldest messages were left out
        (12, 4096, 3000, False),  # the rest was known from the request before
        (26, 4096, 20, False),
        (26, 0, 9999, False),
    ],
)
def test_a_cut_prompt_is_told_by_its_counts(
    read: int, num_ctx: int, estimated: int, cut: bool
) -> None:
    assert was_cut(read, num_ctx, estimated) is cut
    last = {**LAST, "prompt_eval_count": read}
    response = answer(FIRST, last, num_ctx=num_ctx, estimated=estimated)
    told = {"prompt_tokens": read, "num_ctx": num_ctx}
    assert response.extras.get("prompt_cut") == (told if cut else None)


def test_an_embedding_is_a_list_of_lists_also_for_one_text() -> None:
    response = embedding_of(EMBEDDED, 1)
    assert response.embeddings == ((0.010071029, -0.0017594862, 0.05007221, 0.04692972),)
    assert response.model == "all-minilm"
    assert response.usage is not None
    assert response.usage.prompt_tokens == 8
    assert response.extras["timings"]["total_s"] == 0.014143917


@pytest.mark.parametrize(
    "embeddings",
    [None, [], [[1.0], [2.0]], [1.0], [[]], ["text"], [["text"]], {"0": [1.0]}],
)
def test_vectors_that_do_not_fit_the_texts_are_refused(embeddings: object) -> None:
    with pytest.raises(InvalidResponse):
        embedding_of({"model": "m", "embeddings": embeddings}, 1)


def test_vectors_of_different_lengths_are_refused() -> None:
    with pytest.raises(InvalidResponse, match="different lengths"):
        embedding_of({"model": "m", "embeddings": [[1.0], [1.0, 2.0]]}, 2)
