"""What servers stream, in dovetail's words: their habits, wherever the bytes are cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from dovetail import (
    ChatResponse,
    DovetailError,
    FinishReason,
    InvalidResponse,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    StreamingAccumulator,
    StreamingChunk,
    StreamInterrupted,
)
from dovetail_openai.response_parser import StreamParser, response_of

DONE = b"data: [DONE]\n\n"


def event(value: object) -> bytes:
    """An event with this JSON."""
    return b"data: %b\n\n" % to_json(value)


def delta(
    said: dict[str, Any], finish: str | None = None, index: int | None = 0, **more: Any
) -> bytes:
    """A chunk with one choice."""
    choice: dict[str, Any] = {"delta": said, "finish_reason": finish}
    if index is not None:
        choice["index"] = index
    base = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return event({**base, "choices": [choice], **more})


def read(*pieces: bytes, answers: int = 1) -> list[StreamingChunk]:
    """The chunks of a stream that came in these pieces."""
    parser = StreamParser(answers)
    chunks = [chunk for piece in pieces for chunk in parser.feed(piece)]
    parser.end()
    return chunks


def whole(*pieces: bytes) -> ChatResponse:
    """What they make together."""
    accumulator = StreamingAccumulator()
    for chunk in read(*pieces):
        accumulator.add(chunk)
    return accumulator.response()


STOP = delta({}, "stop")

ORDINARY = b"".join(
    [
        b"\xef\xbb\xbf: hello\r\n\r\n",
        delta({"role": "assistant", "content": ""}),
        delta({"content": "Größe "}),
        b": keep-alive\n\n",
        delta({"content": "👋\u2028 ok"}),
        b"event: message\r\n\r\n",
        delta({"content": " end"}),
        b'data: {"choices": [],\r\n',
        b'data: "usage": {"prompt_tokens": 0, "completion_tokens": 3}}\r\n\r\n',
        STOP,
        DONE,
    ]
)


def test_an_answer_is_the_same_wherever_its_bytes_are_cut() -> None:
    once = read(ORDINARY)
    assert "".join(chunk.text for chunk in once) == "Größe 👋\u2028 ok end"
    for cut in range(1, len(ORDINARY)):
        assert read(ORDINARY[:cut], ORDINARY[cut:]) == once
    assert read(*(ORDINARY[i : i + 1] for i in range(len(ORDINARY)))) == once


def test_no_chunk_is_made_of_what_says_nothing() -> None:
    chunks = read(ORDINARY)
    assert [chunk.text for chunk in chunks] == ["Größe ", "👋\u2028 ok", " end", "", ""]
    assert (chunks[0].model, chunks[0].extras) == ("m", {"id": "c-1", "created": 1})
    assert chunks[-1].finish_reason is FinishReason.STOP


def test_zero_tokens_are_a_count() -> None:
    usage = whole(ORDINARY).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (0, 3, None)


@pytest.mark.parametrize(
    "counted",
    [
        delta({"content": "a"}, usage={"prompt_tokens": 5}) + STOP,
        delta({"content": "a"}) + delta({}, "stop", usage={"prompt_tokens": 5}),
        delta({"content": "a"}) + STOP + event({"choices": [], "usage": {"prompt_tokens": 5}}),
        delta({"content": "a"}) + STOP + event({"usage": {"prompt_tokens": 5}}),
        delta({"content": "a"}) + delta({}, "stop", x_groq={"usage": {"prompt_tokens": 5}}),
    ],
)
def test_usage_is_taken_from_any_chunk(counted: bytes) -> None:
    usage = whole(counted, DONE).usage
    assert usage is not None
    assert usage.prompt_tokens == 5


def test_details_of_usage_have_their_places_and_the_rest_is_kept() -> None:
    usage = whole(
        delta({"content": "a"}),
        delta(
            {},
            "stop",
            usage={
                "prompt_tokens": 9,
                "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 0},
                "cost": 0.25,
            },
        ),
    ).usage
    assert usage is not None
    assert (usage.cached_tokens, usage.reasoning_tokens) == (4, 0)
    assert usage.extras == {
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1},
        "cost": 0.25,
    }


def test_done_may_be_missing() -> None:
    assert whole(delta({"content": "a"}), STOP).text == "a"


def test_what_comes_after_done_is_not_read() -> None:
    assert whole(delta({"content": "a"}), STOP, DONE, delta({"content": "b"})).text == "a"


@pytest.mark.parametrize("end", [b"", DONE])
@pytest.mark.parametrize(
    "said",
    [
        b"",
        b": only a comment\n\n",
        event({"choices": []}),
        delta({"role": "assistant", "content": ""}),
        delta({"content": "a"}),
        delta({"content": "a"}) + STOP.rstrip(b"\n"),
        delta({"content": "a"}, "stop", index=0) + delta({"content": "b"}, index=1),
    ],
)
def test_an_end_without_a_finish_reason_is_an_interruption(said: bytes, end: bytes) -> None:
    if said.endswith(b"}") and end:
        end = b"\r" + end  # the last event stays without its end
    with pytest.raises((StreamInterrupted, InvalidResponse)):
        read(said, end)


@pytest.mark.parametrize(
    "error",
    [
        event({"error": {"message": "overloaded", "code": 503}}),
        event({"error": "overloaded"}),
        delta({"content": "b"}, "stop", error={"message": "overloaded"}),
        event(
            {
                "choices": [
                    {"delta": {}, "finish_reason": "error", "error": {"message": "overloaded"}}
                ]
            }
        ),
        b'event: error\ndata: {"message": "overloaded"}\n\n',
    ],
)
@pytest.mark.parametrize("before", [b"", delta({"content": "a"})])
def test_an_error_inside_a_stream_is_an_error_after_what_came_before(
    error: bytes, before: bytes
) -> None:
    parser = StreamParser()
    feed = parser.feed(before + error + STOP)
    if before:
        assert next(feed).text == "a"
    with pytest.raises(ProviderUnavailable, match="overloaded"):
        next(feed)


def test_an_error_in_mid_stream_has_the_class_of_its_code() -> None:
    with pytest.raises(RateLimited):
        read(delta({"content": "a"}), event({"error": {"message": "slow down", "code": 429}}))


def test_an_answer_that_ends_in_an_error_without_a_name_is_no_answer() -> None:
    with pytest.raises(StreamInterrupted):
        read(delta({"content": "a"}, "error"))


def test_an_error_that_is_null_is_none() -> None:
    assert whole(delta({"content": "a"}, "stop", error=None)).text == "a"


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_comes_under_several_names(name: str) -> None:
    response = whole(
        delta({"role": "assistant", "content": None, name: "Let me "}),
        delta({"content": None, name: "see."}),
        delta({"content": "Yes.", name: None}),
        STOP,
    )
    assert (response.message.reasoning, response.text) == ("Let me see.", "Yes.")


def test_reasoning_under_two_names_is_said_once() -> None:
    pieces = [delta({"reasoning": t, "reasoning_content": t}) for t in ("a", "b")]
    assert whole(*pieces, STOP).message.reasoning == "ab"


def test_reasoning_details_are_read_and_kept() -> None:
    first = {"type": "reasoning.text", "text": "Hm", "signature": "s"}
    second = {"type": "reasoning.encrypted", "data": "x"}
    response = whole(
        delta({"reasoning_details": [first]}), delta({"reasoning_details": [second]}), STOP
    )
    assert response.message.reasoning == "Hm"
    assert response.extras["reasoning_details"] == [first, second]


def test_content_may_be_a_list_of_parts() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    response = whole(
        delta({"content": [thinking]}),
        delta({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
        STOP,
    )
    assert (response.message.reasoning, response.text) == ("Hm.", "ab")


def test_a_refusal_is_a_delta_of_its_own() -> None:
    response = whole(delta({"refusal": "I "}), delta({"refusal": "may not."}), STOP)
    assert (response.message.refusal, response.text) == ("I may not.", "")


@pytest.mark.parametrize("reason", ["length", "tool_calls", "content_filter", "eos", "max_output"])
def test_finish_reasons_pass_through(reason: str) -> None:
    response = whole(delta({"content": "a"}), delta({}, reason))
    assert response.finish_reason == reason
    assert isinstance(response.finish_reason, FinishReason) == (reason in set(FinishReason))


def test_several_answers_interleave() -> None:
    pieces = [
        delta({"role": "assistant", "content": ""}, index=1),
        delta({"content": "b1"}, index=1),
        delta({"content": "a1"}),
        delta({"content": "b2"}, index=1),
        delta({}, "stop"),
        delta({"content": "b3"}, "length", index=1),
        event({"choices": [], "usage": {"completion_tokens": 5}}),
    ]
    response = whole(*pieces)
    assert (response.text, response.finish_reason) == ("a1", FinishReason.STOP)
    (other,) = response.alternatives
    assert (other.index, other.text, other.finish_reason) == (1, "b1b2b3", FinishReason.LENGTH)
    assert response.usage is not None
    assert response.extras == {"id": "c-1", "created": 1}


def test_several_answers_are_complete_when_each_has_ended() -> None:
    parser = StreamParser(2)
    seen = []
    for piece in (delta({"content": "a"}), STOP, delta({"content": "b"}, "stop", index=1)):
        list(parser.feed(piece))
        seen.append(parser.complete)
    assert seen == [False, False, True]


def call(id_: str | None = None, index: int | None = None, **function: str) -> dict[str, Any]:
    """A piece of a tool call."""
    made: dict[str, Any] = {"type": "function", "function": function}
    if id_ is not None:
        made["id"] = id_
    if index is not None:
        made["index"] = index
    return made


@pytest.mark.parametrize(
    "pieces",
    [
        # as OpenAI has it
        [
            call("1", 0, name="f", arguments=""),
            call(None, 0, arguments='{"a"'),
            call(None, 0, arguments=":1}"),
            call("2", 1, name="g", arguments=""),
            call(None, 1, arguments="{}"),
        ],
        # index 0 again and again
        [
            call("1", 0, name="f", arguments='{"a"'),
            call("", 0, arguments=":1}"),
            call("2", 0, name="g", arguments="{"),
            call(None, 0, arguments="}"),
        ],
        # no index
        [
            call("1", name="f", arguments='{"a"'),
            call(None, arguments=":1}"),
            call("2", name="g", arguments="{}"),
        ],
        # the id with every piece
        [
            call("1", 0, name="f", arguments='{"a"'),
            call("2", 0, name="g", arguments="{"),
            call("1", 0, arguments=":1}"),
            call("2", 0, arguments="}"),
        ],
        # whole calls
        [call("1", 0, name="f", arguments='{"a":1}'), call("2", 0, name="g", arguments="{}")],
    ],
)
def test_tool_calls_come_together_whatever_the_servers_habit(pieces: list[dict[str, Any]]) -> None:
    response = whole(*(delta({"tool_calls": [piece]}) for piece in pieces), delta({}, "tool_calls"))
    assert [(c.id, c.name, c.arguments) for c in response.message.tool_calls] == [
        ("1", "f", '{"a":1}'),
        ("2", "g", "{}"),
    ]
    assert response.finish_reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize("index", [None, 0])
def test_tool_calls_without_ids_are_told_apart(index: int | None) -> None:
    pieces = [
        call(None, index, name="f", arguments='{"a":1}'),
        call(None, index, name="f", arguments='{"a":2}'),
        call(None, index, name="g", arguments="{}"),
    ]
    calls = whole(*(delta({"tool_calls": [p]}) for p in pieces), STOP).message.tool_calls
    assert [(c.name, c.arguments) for c in calls] == [
        ("f", '{"a":1}'),
        ("f", '{"a":2}'),
        ("g", "{}"),
    ]
    assert len({c.id for c in calls}) == 3


def test_arguments_that_are_an_object_become_text() -> None:
    raw = {"id": "1", "function": {"name": "f", "arguments": {"a": [1]}}}
    (made,) = whole(delta({"tool_calls": [raw]}), STOP).message.tool_calls
    assert made.arguments == '{"a":[1]}'


def test_what_a_tool_call_has_besides_is_kept() -> None:
    extra = {"google": {"thought_signature": "s"}}
    raw = {**call("1", 0, name="f", arguments="{}"), "extra_content": extra}
    (made,) = whole(delta({"tool_calls": [raw]}), STOP).message.tool_calls
    assert made.extras == {"extra_content": extra}


def test_annotations_and_log_probabilities_have_their_places() -> None:
    cited = {
        "type": "url_citation",
        "url_citation": {
            "url": "https://example.org",
            "title": "E",
            "start_index": 0,
            "end_index": 4,
            "content": "c",
        },
    }
    token = {
        "token": "a",
        "logprob": -0.5,
        "bytes": [97],
        "top_logprobs": [{"token": "b", "logprob": -1, "bytes": None}],
    }
    choice = {"index": 0, "delta": {"content": "a"}, "finish_reason": None}
    rest = {"index": 0, "delta": {"annotations": [cited]}, "finish_reason": "stop"}
    response = whole(
        event({"choices": [{**choice, "logprobs": {"content": [token], "refusal": None}}]}),
        event({"choices": [{**choice, "logprobs": {"content": [token]}}]}),
        event({"choices": [{**rest, "logprobs": None}]}),
    )
    (annotation,) = response.message.annotations
    assert (annotation.url, annotation.start, annotation.end) == ("https://example.org", 0, 4)
    assert annotation.extras == {"content": "c"}
    assert response.logprobs is not None
    assert [t.token for t in response.logprobs.content] == ["a", "a"]
    assert response.logprobs.content[0].top[0].logprob == -1
    assert ChatResponse.model_validate_json(response.model_dump_json()) == response


def test_log_probabilities_in_another_shape_are_kept() -> None:
    old = {"tokens": ["a"], "token_logprobs": [-0.5]}
    choices = [{"delta": {"content": "a"}, "finish_reason": "stop", "logprobs": old}]
    response = whole(event({"choices": choices}))
    assert response.logprobs is None
    assert response.extras == {"logprobs": [old]}
    choices[0]["logprobs"] = {"content": None, "refusal": None}
    assert whole(event({"choices": choices})).extras == {}


def test_a_probability_of_nothing_survives_json() -> None:
    told = b'{"content": [{"token": "a", "logprob": -Infinity}]}'
    choice = b'{"delta": {}, "finish_reason": "stop", "logprobs": %b}' % told
    response = whole(b'data: {"choices": [%b]}\n\n' % choice)
    assert response.logprobs is not None
    assert response.logprobs.content[0].logprob == -9999
    assert ChatResponse.model_validate_json(response.model_dump_json()) == response


def test_what_nobody_knows_is_kept() -> None:
    base: dict[str, Any] = {"provider": "P", "citations": ["a"], "empty": None}
    response = whole(
        delta({"content": "a"}, **base),
        delta({"audio": {"id": "x", "data": "AA=="}}, **base),
        delta({"audio": {"data": "BB=="}}, **base),
        event(
            {
                "choices": [{"delta": {}, "finish_reason": "stop", "stop_reason": 7}],
                "citations": ["a", "b"],
            }
        ),
    )
    assert response.extras == {
        "id": "c-1",
        "created": 1,
        "provider": "P",
        "citations": ["a", "b"],
        "audio": [{"id": "x", "data": "AA=="}, {"data": "BB=="}],
        "stop_reason": 7,
    }


WHOLE = {
    "id": "c-1",
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}
    ],
}


def test_a_whole_answer_says_what_a_streamed_one_says() -> None:
    message = {
        "content": [{"type": "text", "text": "a"}],
        "reasoning_content": "r",
        "refusal": "no",
        "tool_calls": [call("1", name="f", arguments="{}"), call("2", name="g", arguments="{}")],
        "audio": {"data": "AA=="},
    }
    usage = {"prompt_tokens": 1}
    told = response_of(
        {**WHOLE, "usage": usage, "choices": [{"message": message, "finish_reason": "tool_calls"}]}
    )
    base = {"id": "c-1", "model": "m", "usage": usage}
    streamed = whole(
        event({**base, "choices": [{"delta": message, "finish_reason": "tool_calls"}]})
    )
    assert told == streamed
    assert told.extras == {"id": "c-1", "audio": [{"data": "AA=="}]}


@pytest.mark.parametrize("indices", [(0, 1), (None, None), (0, 0)])
def test_whole_answers_of_several_are_all_there(indices: tuple[int | None, ...]) -> None:
    choices = [
        {"index": index, "message": {"content": text}, "finish_reason": "stop"}
        for index, text in zip(indices, "ab", strict=True)
    ]
    response = response_of({**WHOLE, "choices": choices})
    assert (response.text, [choice.text for choice in response.alternatives]) == ("a", ["b"])


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        "text",
        {},
        {"choices": None},
        {"choices": []},
        {"choices": {}},
        {"choices": [None]},
        {"choices": [{}]},
        {"choices": [{"message": "a", "finish_reason": "stop"}]},
        {"choices": [{"finish_reason": "stop"}]},
        {"choices": [{"message": {"content": "a"}, "finish_reason": None}]},
        {"choices": [{"message": {"content": "a"}}]},
        {"choices": [{"message": {"tool_calls": 1}, "finish_reason": "stop"}]},
        {"choices": [{"message": {"tool_calls": [1]}, "finish_reason": "stop"}]},
        {"choices": [{"message": {"tool_calls": [{}]}, "finish_reason": "stop"}]},
    ],
)
def test_a_whole_answer_that_is_none_cannot_be_understood(raw: object) -> None:
    with pytest.raises(InvalidResponse):
        response_of(raw)


def test_an_error_beside_a_whole_answer_wins() -> None:
    with pytest.raises(ProviderError, match="broken"):
        response_of({**WHOLE, "error": {"message": "broken"}})


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "message",
                    "content",
                    "index",
                    "finish_reason",
                    "usage",
                    "tool_calls",
                    "function",
                    "arguments",
                    "id",
                    "error",
                    "logprobs",
                    "annotations",
                    "prompt_tokens",
                    "reasoning",
                    "reasoning_details",
                    "text",
                    "type",
                    "model",
                    "x",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.lists(json | st.fixed_dictionaries({"choices": st.lists(json, max_size=2)}), max_size=3),
    st.data(),
)
def test_nonsense_is_an_error_of_ours_the_same_for_every_split(
    values: list[object], data: st.DataObject
) -> None:
    stream = b"".join(event(value) for value in values) + STOP
    cut = data.draw(st.integers(0, len(stream)))

    def outcome(*pieces: bytes) -> object:
        parser, chunks = StreamParser(), list[str]()
        try:
            for piece in pieces:
                for chunk in parser.feed(piece):
                    chunks.append(repr(chunk))
            parser.end()
        except DovetailError as error:
            return chunks, type(error), str(error)
        return chunks

    assert outcome(stream) == outcome(stream[:cut], stream[cut:])


@given(json)
def test_nonsense_as_a_whole_answer_is_an_error_of_ours(value: object) -> None:
    for raw in (
        value,
        {"choices": [value]},
        {"choices": [{"message": value, "finish_reason": "x"}]},
    ):
        try:
            response = response_of(raw)
        except DovetailError:
            continue
        assert ChatResponse.model_validate_json(response.model_dump_json()).text == response.text
