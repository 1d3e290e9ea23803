"""What llama.cpp says, in dovetail's words: what the small model of the other tests never says."""

from __future__ import annotations

import pytest

from dovetail import (
    ChatMessage,
    ChatRequest,
    FunctionTool,
    InvalidResponse,
    ProviderUnavailable,
    ToolCallDelta,
    ToolChoice,
)
from dovetail_llamacpp.wire import body_of, chunk_of, error_of


def test_a_tool_call_arrives_in_pieces() -> None:
    function = {"name": "weather", "arguments": '{"ci'}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    first = {"choices": [{"delta": {"tool_calls": [call]}, "finish_reason": None, "index": 0}]}
    rest = {"index": 0, "function": {"arguments": 'ty": "Oslo"}'}}
    second = {"choices": [{"delta": {"tool_calls": [rest]}, "finish_reason": None, "index": 0}]}
    chunks = [chunk_of(raw, "m") for raw in (first, second)]
    assert [chunk.tool_calls for chunk in chunks if chunk is not None] == [
        (ToolCallDelta(id="call_1", name="weather", arguments='{"ci', index=0),),
        (ToolCallDelta(arguments='ty": "Oslo"}', index=0),),
    ]


def test_what_the_model_thinks_comes_apart_from_what_it_says() -> None:
    delta = {"role": "assistant", "content": None, "reasoning_content": "Let me see."}
    chunk = chunk_of({"choices": [{"delta": delta, "finish_reason": None}]}, "m")
    assert chunk is not None
    assert (chunk.reasoning, chunk.text) == ("Let me see.", "")


def test_a_chunk_that_only_says_how_far_the_prompt_was_read_is_dropped() -> None:
    delta = {"role": "assistant", "content": None}
    raw = {
        "choices": [{"delta": delta, "finish_reason": None}],
        "prompt_progress": {"total": 10, "processed": 5},
    }
    assert chunk_of(raw, "m") is None


def test_tools_and_a_choice_among_them_are_passed_on() -> None:
    request = ChatRequest(
        messages=(ChatMessage.user("Hello"),),
        tools=(FunctionTool(name="weather", description="The weather"),),
        tool_choice=ToolChoice(name="weather"),
        reasoning_effort="low",
        extras={"chat_template_kwargs": {"enable_thinking": True}, "stream": False},
    )
    body = body_of(request)
    assert body["tools"][0]["function"]["name"] == "weather"
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert body["chat_template_kwargs"] == {"enable_thinking": True, "reasoning_effort": "low"}
    assert body["stream"] is True


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("unavailable_error", ProviderUnavailable), ("server_error", InvalidResponse)],
)
def test_a_failure_of_llama_cpp_is_no_fault_of_the_request(
    kind: str, expected: type[Exception]
) -> None:
    error = error_of({"code": 503, "type": kind, "message": "not now"}, "m")
    assert type(error) is expected
    assert "not now" in str(error)
