"""From chunks to the whole answer, under every habit that servers have with tool calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dovetail import (
    ChatMessage,
    FinishReason,
    InvalidResponse,
    StreamingAccumulator,
    StreamingChunk,
    StreamingToNonStreamingConverter,
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
