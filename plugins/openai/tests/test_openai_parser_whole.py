"""Answers that come whole, and nonsense in both forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail import ChatResponse, DovetailError, InvalidResponse, ProviderError
from dovetail_openai.response_parser import StreamParser, response_of
from plugins.openai.tests.streams import STOP, call, event, whole

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
