"""The chat models: immutable, strict about fields, exact in JSON."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from dovetail import (
    Annotation,
    AudioPart,
    ChatMessage,
    ChatRequest,
    ChatResponse,
    Choice,
    EmbeddingRequest,
    EmbeddingResponse,
    FinishReason,
    FunctionTool,
    ImagePart,
    Logprobs,
    MessageRole,
    ResponseFormat,
    TextPart,
    TokenLogprob,
    ToolCall,
    ToolChoice,
    Usage,
)

text = st.text(max_size=12)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2),
    max_leaves=4,
)
tables = st.dictionaries(text, json_values, max_size=2)
counts = st.none() | st.integers(0, 10**9)
parts = (
    st.builds(TextPart, text=text)
    | st.builds(ImagePart, url=text, data=text, detail=st.sampled_from(["auto", "low", "high"]))
    | st.builds(AudioPart, data=text, format=text)
)
sources = st.builds(
    Annotation, type=text, url=text, title=text, start=counts, end=counts, extras=tables
)
tokens = st.recursive(
    st.builds(
        TokenLogprob,
        token=text,
        logprob=st.floats(-9999, 0),
        bytes=st.none() | st.lists(st.integers(0, 255), max_size=3).map(tuple),
        extras=tables,
    ),
    lambda inner: st.builds(
        TokenLogprob, token=text, logprob=st.just(-1.0), top=st.lists(inner, max_size=2).map(tuple)
    ),
    max_leaves=2,
)
logprobs = st.none() | st.builds(
    Logprobs,
    content=st.lists(tokens, max_size=2).map(tuple),
    refusal=st.lists(tokens, max_size=1).map(tuple),
)
reasons = st.sampled_from(FinishReason) | text
messages = st.builds(
    ChatMessage,
    role=st.sampled_from(MessageRole),
    content=text | st.lists(parts, max_size=3).map(tuple),
    tool_calls=st.lists(
        st.builds(ToolCall, id=text, name=text, arguments=text, extras=tables), max_size=2
    ).map(tuple),
    tool_call_id=text,
    name=text,
    reasoning=text,
    refusal=text,
    annotations=st.lists(sources, max_size=1).map(tuple),
    metadata=tables,
)
choices = st.builds(
    Choice,
    index=st.integers(1, 9),
    message=messages,
    finish_reason=reasons,
    logprobs=logprobs,
    extras=tables,
)
usages = st.builds(
    Usage,
    prompt_tokens=counts,
    completion_tokens=counts,
    total_tokens=counts,
    cached_tokens=counts,
    reasoning_tokens=counts,
    extras=tables,
)
requests = st.builds(
    ChatRequest,
    messages=st.lists(messages, max_size=3).map(tuple),
    model=text,
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    max_tokens=st.none() | st.integers(1, 10**6),
    stop=st.lists(text, max_size=2).map(tuple),
    seed=st.none() | st.integers(-(2**31), 2**31),
    tools=st.lists(
        st.builds(FunctionTool, name=text, description=text, parameters=tables), max_size=2
    ).map(tuple),
    tool_choice=st.none()
    | st.sampled_from(["auto", "none", "required"])
    | st.builds(ToolChoice, name=text),
    response_format=st.none()
    | st.builds(
        ResponseFormat,
        type=st.sampled_from(["text", "json_object", "json_schema"]),
        json_schema=st.none() | tables,
    ),
    reasoning_effort=st.none() | text,
    extras=tables,
    metadata=tables,
)
responses = st.builds(
    ChatResponse,
    message=messages,
    finish_reason=reasons,
    usage=st.none() | usages,
    model=text,
    provider=text,
    request_id=text,
    logprobs=logprobs,
    alternatives=st.lists(choices, max_size=1).map(tuple),
    metadata=tables,
    extras=tables,
)
embeddings = st.builds(
    EmbeddingResponse,
    embeddings=st.lists(
        st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3).map(tuple),
        max_size=2,
    ).map(tuple),
    usage=st.none() | usages,
)
questions = st.builds(
    EmbeddingRequest, input=st.lists(text, min_size=1, max_size=3).map(tuple), extras=tables
)


@given(requests | responses | embeddings | questions)
def test_json_and_back_is_the_same(model: BaseModel) -> None:
    again = type(model).model_validate_json(model.model_dump_json())
    assert again == model
    assert again.model_dump_json() == model.model_dump_json()


def test_a_listed_finish_reason_is_one_again_after_json() -> None:
    response = ChatResponse(message=ChatMessage.assistant("a"), finish_reason=FinishReason.LENGTH)
    again = ChatResponse.model_validate_json(response.model_dump_json())
    assert again.finish_reason is FinishReason.LENGTH


def test_messages_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ChatMessage.user("a").content = "b"  # type: ignore[misc]


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="temprature"):
        ChatRequest.model_validate({"messages": [], "temprature": 1})


def test_an_error_repeats_nothing_of_what_was_said() -> None:
    with pytest.raises(ValidationError) as caught:
        ChatMessage.model_validate({"role": "user", "content": {"my password": "hunter2"}})
    assert "content" in str(caught.value)
    assert "hunter2" not in f"{caught.value} {caught.value!r}"


def test_the_text_of_parts_is_joined() -> None:
    content = (TextPart(text="a"), ImagePart(url="https://example.org/a.png"), TextPart(text="b"))
    assert ChatMessage.user(content).text == "ab"
