"""From chunks to the whole answer, under every habit that servers have with tool calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dovetail import (
    Annotation,
    Answer,
    ChatMessage,
    ChatResponse,
    FinishReason,
    InvalidResponse,
    Logprobs,
    StreamingAccumulator,
    StreamingChunk,
    StreamingToNonStreamingConverter,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def accumulate(*chunks: StreamingChunk) -> StreamingAccumulator:
    """An accumulator that has taken these in."""
    accumulator = StreamingAccumulator()
    for chunk in chunks:
        accumulator.add(chunk)
    return accumulator


def calls(*deltas: ToolCallDelta) -> list[tuple[str, str, str]]:
    """The tool calls that come of one chunk for each delta."""
    response = accumulate(*(StreamingChunk(tool_calls=(d,)) for d in deltas)).response()
    return [(call.id, call.name, call.arguments) for call in response.message.tool_calls]


def test_every_field_is_collected() -> None:
    response = accumulate(
        StreamingChunk(reasoning="hm "),
        StreamingChunk(text="a", model="m-1"),
        StreamingChunk(text="b", usage=Usage(prompt_tokens=0)),
        StreamingChunk(refusal="no", finish_reason="odd", extras={"x": 1}),
        StreamingChunk(usage=Usage(completion_tokens=2), extras={"y": 2}),
    ).response(provider="p")
    assert response.text == "ab"
    assert (response.message.reasoning, response.message.refusal) == ("hm ", "no")
    assert response.usage == Usage(prompt_tokens=0, completion_tokens=2)
    assert response.finish_reason == "odd"
    assert (response.model, response.provider) == ("m-1", "p")
    assert response.extras == {"x": 1, "y": 2}


def test_an_end_without_a_reason_means_stop() -> None:
    assert accumulate(StreamingChunk(text="a")).response().finish_reason is FinishReason.STOP


def test_parallel_calls_are_told_apart_by_id() -> None:
    assert calls(
        ToolCallDelta(id="1", name="f", index=0),
        ToolCallDelta(id="2", name="g", index=0),
        ToolCallDelta(id="1", arguments='{"a"'),
        ToolCallDelta(id="2", arguments="{}"),
        ToolCallDelta(id="1", arguments=":1}"),
    ) == [("1", "f", '{"a":1}'), ("2", "g", "{}")]


def test_parallel_calls_are_told_apart_by_index() -> None:
    assert calls(
        ToolCallDelta(id="1", name="f", index=0),
        ToolCallDelta(id="2", name="g", index=1),
        ToolCallDelta(arguments="{}", index=0),
        ToolCallDelta(arguments="[]", index=1),
    ) == [("1", "f", "{}"), ("2", "g", "[]")]


def test_pieces_without_id_or_index_belong_to_the_open_call() -> None:
    assert calls(
        ToolCallDelta(id="1", name="f"),
        ToolCallDelta(arguments="{"),
        ToolCallDelta(arguments="}"),
        ToolCallDelta(id="2", name="g"),
        ToolCallDelta(arguments="[]"),
    ) == [("1", "f", "{}"), ("2", "g", "[]")]


def test_an_id_that_comes_late_belongs_to_the_call_that_has_none() -> None:
    assert calls(
        ToolCallDelta(name="f", index=0),
        ToolCallDelta(id="1", arguments="{}", index=0),
        ToolCallDelta(name="g", index=1),
        ToolCallDelta(id="2", arguments="[]", index=1),
    ) == [("1", "f", "{}"), ("2", "g", "[]")]


@pytest.mark.parametrize("index", [None, 0])
def test_a_name_without_an_id_opens_another_call_once_the_last_is_complete(
    index: int | None,
) -> None:
    made = calls(
        ToolCallDelta(name="f", arguments='{"a":', index=index),
        ToolCallDelta(name="f", arguments="1}", index=index),
        ToolCallDelta(name="f", arguments='{"a":2}', index=index),
        ToolCallDelta(name="g", index=index),
    )
    assert [call[1:] for call in made] == [("f", '{"a":1}'), ("f", '{"a":2}'), ("g", "{}")]


def test_what_a_call_has_besides_is_collected() -> None:
    deltas = (
        ToolCallDelta(id="1", name="f", extras={"a": 1, "b": 1}),
        ToolCallDelta(id="1", extras={"b": 2}),
    )
    (call,) = accumulate(StreamingChunk(tool_calls=deltas)).response().message.tool_calls
    assert call.extras == {"a": 1, "b": 2}


def test_a_call_without_an_id_gets_one_that_stays() -> None:
    accumulator = accumulate(StreamingChunk(tool_calls=(ToolCallDelta(name="f"),)))
    (first,) = accumulator.response().message.tool_calls
    (second,) = accumulator.response().message.tool_calls
    assert first == second
    assert first.id
    assert first.arguments == "{}"
    assert accumulator.response().finish_reason is FinishReason.TOOL_CALLS


def test_a_call_without_a_name_cannot_be_understood() -> None:
    with pytest.raises(InvalidResponse, match="without saying which"):
        calls(ToolCallDelta(id="1", arguments="{}"))


def test_a_partial_answer_leaves_unfinished_calls_out() -> None:
    accumulator = accumulate(StreamingChunk(text="a", tool_calls=(ToolCallDelta(arguments="{"),)))
    partial = accumulator.partial(FinishReason.CANCELLED)
    assert (partial.text, partial.message.tool_calls) == ("a", ())
    assert partial.finish_reason is FinishReason.CANCELLED


async def test_a_stream_is_converted_to_one_answer() -> None:
    async def stream() -> AsyncIterator[StreamingChunk]:
        yield StreamingChunk(text="a")
        yield StreamingChunk(text="b", finish_reason=FinishReason.LENGTH)

    response = await StreamingToNonStreamingConverter().convert(stream())
    assert response.message == ChatMessage.assistant("ab")
    assert response.finish_reason is FinishReason.LENGTH


def test_a_tuple_in_extras_adds_and_anything_else_replaces() -> None:
    listed = ["x"]
    response = accumulate(
        StreamingChunk(extras={"add": ("a",), "replace": ["a"], "begun": listed}),
        StreamingChunk(extras={"add": ("b", "c"), "replace": ["b"], "begun": ("y",)}),
    ).response()
    assert response.extras == {"add": ["a", "b", "c"], "replace": ["b"], "begun": ["x", "y"]}
    assert listed == ["x"]


def test_what_was_given_out_does_not_change_with_what_comes_later() -> None:
    accumulator = accumulate(StreamingChunk(extras={"add": ("a",)}))
    early = accumulator.response()
    accumulator.add(StreamingChunk(extras={"add": ("b",)}))
    assert early.extras == {"add": ["a"]}
    assert accumulator.response().extras == {"add": ["a", "b"]}


def likely(token: str) -> Logprobs:
    return Logprobs(content=(TokenLogprob(token=token, logprob=-0.5),))


def several() -> StreamingAccumulator:
    """Three answers that came mixed, one of them cut short in a tool call."""
    return accumulate(
        StreamingChunk(text="b1", index=1, logprobs=likely("b1"), model="m"),
        StreamingChunk(text="a1", logprobs=likely("a1")),
        StreamingChunk(text="c", index=2, tool_calls=(ToolCallDelta("1", "f", "{"),)),
        StreamingChunk(text="b2", index=1, logprobs=likely("b2"), extras={"x": 1}),
        StreamingChunk(finish_reason="stop", annotations=(Annotation(url="https://a.org"),)),
        StreamingChunk(
            finish_reason=FinishReason.LENGTH, index=1, usage=Usage(completion_tokens=4)
        ),
    )


def test_several_answers_are_kept_apart() -> None:
    response = several().response()
    assert [(c.index, c.text, c.finish_reason) for c in response.alternatives] == [
        (1, "b1b2", FinishReason.LENGTH),
        (2, "c", FinishReason.TOOL_CALLS),
    ]
    assert (response.text, response.extras) == ("a1", {})
    assert response.alternatives[0].extras == {"x": 1}
    assert response.message.annotations == (Annotation(url="https://a.org"),)
    assert response.logprobs == likely("a1")
    tokens = response.alternatives[0].logprobs
    assert tokens is not None
    assert [token.token for token in tokens.content] == ["b1", "b2"]
    assert response.usage == Usage(completion_tokens=4)
    assert response.model == "m"


def test_of_several_answers_cut_short_the_finished_ones_say_so() -> None:
    partial = several().partial(FinishReason.CANCELLED)
    assert partial.finish_reason is FinishReason.CANCELLED
    assert [(c.finish_reason, c.message.tool_calls) for c in partial.alternatives] == [
        (FinishReason.LENGTH, ()),
        (FinishReason.CANCELLED, ()),
    ]


def test_nothing_but_a_second_answer_is_something() -> None:
    assert accumulate(StreamingChunk(usage=Usage(), model="m")).empty
    assert not accumulate(StreamingChunk(text="b", index=1)).empty


async def test_a_whole_answer_is_the_same_after_it_went_through_chunks() -> None:
    whole = several().response()
    again = Answer.of(whole)
    again.each(lambda chunk: chunk)
    assert await again.read() == whole
    changed = Answer.of(whole)
    changed.each(lambda chunk: StreamingChunk(text=chunk.text.upper(), index=chunk.index))
    response: ChatResponse = await changed.read()
    assert [response.text, *(c.text for c in response.alternatives)] == ["A1", "B1B2", "C"]
