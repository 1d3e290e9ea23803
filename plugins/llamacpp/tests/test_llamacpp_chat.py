"""What a model in the process answers, and what it refuses."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel, Field

from dovetail import (
    ChatMessage,
    ContextTooLong,
    FinishReason,
    ImagePart,
    InvalidRequest,
    MessageRole,
    ResponseFormat,
    StreamInterrupted,
    TextPart,
    ToolCall,
)

if TYPE_CHECKING:
    from dovetail import ExecutionContext
    from dovetail_llamacpp import LlamaCpp
    from plugins.llamacpp.tests.conftest import Open, Requests


async def test_an_answer_streams_token_by_token_and_ends_with_its_usage(
    provider: LlamaCpp, context: ExecutionContext, ask: Requests
) -> None:
    request = ask.short("Count from one to twenty.", max_tokens=12)
    chunks = [chunk async for chunk in provider.send_message_stream(request, context)]
    assert len([chunk for chunk in chunks if chunk.text]) == 12
    assert [c.finish_reason for c in chunks if c.finish_reason] == [FinishReason.LENGTH]
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.completion_tokens == 12
    assert chunks[-1].extras is not None
    assert chunks[-1].extras["timings"]["predicted_per_second"] > 0
    assert {chunk.model for chunk in chunks} == {"smollm2"}


async def test_a_stop_word_ends_the_answer(
    provider: LlamaCpp, context: ExecutionContext, ask: Requests
) -> None:
    whole = await provider.send_message(ask.short("Count from one to twenty."), context)
    word = whole.text.split()[3]
    request = ask.short("Count from one to twenty.", stop=(word,))
    answer = await provider.send_message(request, context)
    assert answer.text == whole.text.partition(word)[0]
    assert answer.finish_reason is FinishReason.STOP


class Person(BaseModel):
    """What the model is to fill in."""

    name: str = Field(max_length=20)
    age: int = Field(ge=0, le=120)
    hobbies: list[str] = Field(min_length=1, max_length=2)

    model_config = {"extra": "forbid"}


async def test_an_answer_keeps_to_a_json_schema(
    provider: LlamaCpp, context: ExecutionContext, ask: Requests
) -> None:
    schema = Person.model_json_schema()
    form = ResponseFormat(type="json_schema", json_schema=schema)
    request = ask.short("Describe a person.", response_format=form, max_tokens=400)
    answer = await provider.send_message(request, context)
    assert Person.model_validate_json(answer.text).name


async def test_an_answer_can_be_any_json_object(
    provider: LlamaCpp, context: ExecutionContext, ask: Requests
) -> None:
    form = ResponseFormat(type="json_object")
    request = ask.short('Reply with {"ok": true}', response_format=form, max_tokens=400)
    answer = await provider.send_message(request, context)
    assert isinstance(json.loads(answer.text), dict)


async def test_a_conversation_with_tool_calls_can_be_continued(
    provider: LlamaCpp, context: ExecutionContext, ask: Requests
) -> None:
    call = ToolCall(id="call_1", name="weather", arguments='{"city": "Oslo"}')
    messages = (
        ChatMessage.user("How is the weather in Oslo?"),
        ChatMessage(role=MessageRole.ASSISTANT, tool_calls=(call,)),
        ChatMessage(role=MessageRole.TOOL, content="Sunny, 20 °C", tool_call_id="call_1"),
    )
    answer = await provider.send_message(ask.short("", messages=messages), context)
    assert answer.text


async def test_a_prompt_past_the_context_is_refused_with_both_numbers(
    opened: Open, context: ExecutionContext, ask: Requests
) -> None:
    provider = await opened(context=256)
    with pytest.raises(ContextTooLong, match=r"has 6\d\d tokens .* `smollm2` holds 256") as caught:
        await provider.send_message(ask.short("word " * 600), context)
    assert caught.value.details.model == "smollm2"


async def test_an_answer_that_fills_the_context_ends_as_too_long(
    opened: Open, context: ExecutionContext, ask: Requests
) -> None:
    provider = await opened(context=256)
    answer = await provider.send_message(ask.endless(), context)
    assert answer.finish_reason is FinishReason.LENGTH
    assert answer.usage is not None
    assert answer.usage.total_tokens == 256


async def test_tokens_are_counted_as_the_model_will_count_them(
    provider: LlamaCpp, context: ExecutionContext, ask: Requests
) -> None:
    request = ask.short("How many tokens is this?")
    answer = await provider.send_message(request, context)
    assert answer.usage is not None
    assert await provider.count_tokens(request) == answer.usage.prompt_tokens
    assert await provider.context_window("smollm2") == 1024


async def test_an_image_is_refused(
    provider: LlamaCpp, context: ExecutionContext, ask: Requests
) -> None:
    parts = (TextPart(text="What is this?"), ImagePart(data="iVBORw0KGgo="))
    with pytest.raises(InvalidRequest, match="text only"):
        await provider.send_message(ask.short("", messages=(ChatMessage.user(parts),)), context)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"extras": {"n": 2}}, "`n`"),
        ({"messages": ()}, "no messages"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"type": "nonsense"}}},
            "nonsense",
        ),
    ],
)
async def test_what_llama_cpp_refuses_is_an_invalid_request_and_the_next_one_is_fine(
    provider: LlamaCpp,
    context: ExecutionContext,
    ask: Requests,
    fields: dict[str, object],
    said: str,
) -> None:
    with pytest.raises(InvalidRequest, match=said):
        await provider.send_message(ask.short("Hello", **fields), context)
    assert (await provider.send_message(ask.short("Hello"), context)).text


async def test_slots_answer_at_the_same_time(
    opened: Open, context: ExecutionContext, ask: Requests
) -> None:
    provider = await opened(slots=2, context=1024)
    async with aclosing(provider.send_message_stream(ask.endless(), context)) as first:
        await anext(first)
        answer = await provider.send_message(ask.short("Hello"), context)
        assert answer.text
        assert (await anext(first)).finish_reason is None


async def test_stopping_the_provider_ends_a_stream_with_an_error(
    opened: Open, context: ExecutionContext, ask: Requests
) -> None:
    provider = await opened(context=1024)
    async with aclosing(provider.send_message_stream(ask.endless(), context)) as stream:
        await anext(stream)
        stopping = asyncio.create_task(provider.stop())
        with pytest.raises(StreamInterrupted):
            async for _chunk in stream:
                pass
        await stopping
