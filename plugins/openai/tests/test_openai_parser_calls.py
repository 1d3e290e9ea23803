"""Tool calls out of their pieces, and those that break off."""

from __future__ import annotations

from typing import Any

import pytest

from dovetail import FinishReason, InvalidResponse
from dovetail_openai.response_parser import StreamParser, response_of
from plugins.openai.tests.streams import STOP, call, delta, whole


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


CUT = '{"city": "Par'


@pytest.mark.parametrize("reason", ["tool_calls", "stop"])
@pytest.mark.parametrize("arguments", [CUT, "{", '{"a":', '{"a": [1,', '{"a": "x\\u00'])
def test_a_call_that_breaks_off_is_no_call_though_the_answer_says_that_it_is_complete(
    arguments: str, reason: str
) -> None:
    pieces = [call("1", 0, name="f", arguments="{}"), call("2", 1, name="g", arguments="")]
    parser = StreamParser()
    list(parser.feed(delta({"tool_calls": [*pieces, call(None, 1, arguments=arguments)]})))
    with pytest.raises(InvalidResponse, match=r"in the arguments of its call of `g`") as streamed:
        list(parser.feed(delta({}, reason)))
    message = {"tool_calls": [call("2", name="g", arguments=arguments)]}
    with pytest.raises(InvalidResponse) as told:
        response_of({"choices": [{"message": message, "finish_reason": reason}]})
    assert str(told.value) == str(streamed.value)
    for caught in (streamed, told):
        assert caught.value.metadata["arguments"] == arguments


def test_each_of_several_answers_has_calls_of_its_own() -> None:
    parser = StreamParser(2)
    for index in (0, 1):
        piece = call("1", 0, name=f"f{index}", arguments="{" if index else "{}")
        list(parser.feed(delta({"tool_calls": [piece]}, index=index)))
    assert [chunk.index for chunk in parser.feed(delta({}, "tool_calls"))] == [0]
    with pytest.raises(InvalidResponse, match="`f1`"):
        list(parser.feed(delta({}, "tool_calls", index=1)))


@pytest.mark.parametrize("reason", ["length", "content_filter", "max_output"])
def test_an_answer_that_says_it_is_cut_has_the_calls_as_they_came(reason: str) -> None:
    piece = call("1", 0, name="f", arguments=CUT)
    response = whole(delta({"tool_calls": [piece]}), delta({}, reason))
    assert [made.arguments for made in response.message.tool_calls] == [CUT]
    assert response.finish_reason == reason


@pytest.mark.parametrize("arguments", ["{'a': 1}", '{"a": 1,}', '{"a": 1}}', "Paris", " ", "null"])
def test_arguments_that_a_model_wrote_wrongly_are_told_as_they_are(arguments: str) -> None:
    piece = call("1", 0, name="f", arguments=arguments)
    response = whole(delta({"tool_calls": [piece]}), delta({}, "tool_calls"))
    assert [made.arguments for made in response.message.tool_calls] == [arguments]
