"""Chats with a server, over a real socket."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from dovetail import (
    ChatMessage,
    FinishReason,
    FunctionTool,
    ImagePart,
    InvalidRequest,
    ModelNotFound,
    ResponseFormat,
)
from dovetail.testing import (
    drip,
    gzipped,
    json_reply,
    ollama_json,
    ollama_ndjson,
    split_bytes,
    stall_after,
    with_type,
)
from plugins.ollama.tests.samples import not_found

if TYPE_CHECKING:
    from dovetail import ExecutionContext
    from dovetail.testing import Upstream
    from plugins.ollama.tests.conftest import Ask, Open


async def test_an_answer_comes_piece_by_piece(
    opened: Open, upstream: Upstream, context: ExecutionContext, ask: Ask, transport: str
) -> None:
    upstream.reply("/api/chat", ollama_ndjson("The ", "sky", "."))
    provider = await opened(http={"transport": transport})
    chunks = [chunk async for chunk in provider.send_message_stream(ask(), context)]
    assert [chunk.text for chunk in chunks] == ["The ", "sky", ".", ""]
    assert chunks[-1].finish_reason is FinishReason.STOP
    assert upstream.requests[0].json == {
        "model": "llama3.2",
        "messages": [{"role": "user", "content": "Why is the sky blue?"}],
        "stream": True,
        "options": {"num_ctx": 4096},
    }


async def test_an_answer_without_streaming_is_streamed_too(
    opened: Open, upstream: Upstream, context: ExecutionContext, ask: Ask
) -> None:
    upstream.reply("/api/chat", ollama_ndjson({"thinking": "Hm."}, "The ", "sky."))
    response = await (await opened()).send_message(ask(), context)
    assert (response.text, response.message.reasoning) == ("The sky.", "Hm.")
    assert response.usage is not None
    assert response.usage.total_tokens == 7
    assert response.extras["timings"]["tokens_per_s"] == 2.0
    assert upstream.requests[0].json["stream"] is True


async def test_one_connection_serves_one_answer_after_the_other(
    opened: Open, upstream: Upstream, context: ExecutionContext, ask: Ask, transport: str
) -> None:
    upstream.reply("/api/chat", ollama_ndjson("The ", "sky."))
    provider = await opened(http={"transport": transport})
    for _ in range(3):
        await provider.send_message(ask(), context)
    assert upstream.connections == 1


@pytest.mark.parametrize("change", [split_bytes, drip, gzipped, lambda r: with_type(r, "text/x")])
async def test_how_the_bytes_come_makes_no_difference(
    opened: Open, upstream: Upstream, context: ExecutionContext, ask: Ask, change: object
) -> None:
    assert callable(change)
    upstream.reply("/api/chat", change(ollama_ndjson("Grüße ", "🌤")))
    assert (await (await opened()).send_message(ask(), context)).text == "Grüße 🌤"


async def test_a_server_that_does_not_stream_is_understood(
    opened: Open, upstream: Upstream, context: ExecutionContext, ask: Ask
) -> None:
    upstream.reply("/api/chat", ollama_json("The sky."))
    response = await (await opened()).send_message(ask(), context)
    assert (response.text, response.finish_reason) == ("The sky.", FinishReason.STOP)


async def test_tool_calls_say_that_they_are(
    opened: Open, upstream: Upstream, context: ExecutionContext, ask: Ask
) -> None:
    call = {"function": {"name": "today", "arguments": {"zone": "UTC"}}}
    upstream.reply("/api/chat", ollama_ndjson({"tool_calls": [call]}))
    request = ask(tools=(FunctionTool(name="today"),))
    response = await (await opened()).send_message(request, context)
    assert response.finish_reason is FinishReason.TOOL_CALLS
    assert json.loads(response.message.tool_calls[0].arguments) == {"zone": "UTC"}
    assert upstream.requests[0].json["tools"][0]["function"]["name"] == "today"


async def test_a_schema_is_sent_as_the_format(
    opened: Open, upstream: Upstream, context: ExecutionContext, ask: Ask
) -> None:
    upstream.reply("/api/chat", ollama_ndjson('{"age": 22}'))
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}}
    form = ResponseFormat(type="json_schema", json_schema=schema)
    await (await opened()).send_message(ask(response_format=form), context)
    assert upstream.requests[0].json["format"] == schema


async def test_a_cut_prompt_is_a_warning_and_is_in_the_response(
    opened: Open, upstream: Upstream, context: ExecutionContext, ask: Ask
) -> None:
    counts = {"prompt_eval_count": 258, "eval_count": 1}
    upstream.reply("/api/chat", ollama_ndjson("Hello", counts=counts))
    provider = await opened(num_ctx=512)
    with capture_logs() as logs:
        response = await provider.send_message(ask("sky " * 2000), context)
    assert response.extras["prompt_cut"] == {"prompt_tokens": 258, "num_ctx": 512}
    (entry,) = logs
    assert (entry["log_level"], entry["model"], entry["num_ctx"]) == ("warning", "llama3.2", 512)
    assert "raise `num_ctx`" in entry["event"]
    with capture_logs() as logs:
        response = await provider.send_message(ask("sky " * 250), context)
    assert "prompt_cut" not in response.extras
    assert not logs


async def test_an_unknown_model_says_how_to_fetch_it(
    opened: Open, upstream: Upstream, context: ExecutionContext, ask: Ask
) -> None:
    upstream.script(not_found("qwen9"))
    for settings in ({}, {"num_ctx": None}):
        provider = await opened(**settings)
        with pytest.raises(ModelNotFound) as caught:
            await provider.send_message(ask(model="qwen9"), context)
        assert "`dovetail ollama pull qwen9`" in str(caught.value)
        assert caught.value.details.status == 404
        assert caught.value.details.model == "qwen9"
        provider.instance = "gpu"
        await provider.stop()
        await provider.start()
        with pytest.raises(ModelNotFound, match="`dovetail ollama pull -i gpu qwen9`"):
            await provider.send_message(ask(model="qwen9"), context)


async def test_no_model_at_all_says_where_to_name_one(
    opened: Open, context: ExecutionContext, ask: Ask
) -> None:
    with pytest.raises(ModelNotFound, match="set `model` in this"):
        await (await opened(model="")).send_message(ask(), context)


async def test_what_a_model_cannot_do_is_told_in_ollamas_words(
    opened: Open, upstream: Upstream, context: ExecutionContext, ask: Ask
) -> None:
    refusal = json_reply(400, {"error": '"llama3.2" does not support thinking'})
    upstream.reply("/api/chat", refusal)
    with pytest.raises(InvalidRequest, match="does not support thinking") as caught:
        await (await opened()).send_message(ask(reasoning_effort="high"), context)
    assert caught.value.details.status == 400
    assert not caught.value.details.may_retry


async def test_an_image_by_its_address_never_leaves(
    opened: Open, upstream: Upstream, context: ExecutionContext, ask: Ask
) -> None:
    message = ChatMessage.user((ImagePart(url="https://example.com/a.png"),))
    with pytest.raises(InvalidRequest, match="does not fetch images"):
        await (await opened()).send_message(ask(messages=(message,)), context)
    assert not upstream.requests


async def test_keys_and_headers_are_sent_in_headers(
    opened: Open, upstream: Upstream, context: ExecutionContext, ask: Ask, transport: str
) -> None:
    upstream.reply("/api/chat", ollama_ndjson("Hello"))
    provider = await opened(
        api_key="k-123", headers={"X-Team": "blue"}, http={"transport": transport}
    )
    await provider.send_message(ask(), context)
    headers = upstream.requests[0].headers
    assert (headers["authorization"], headers["x-team"]) == ("Bearer k-123", "blue")
    assert "k-123" not in repr(provider.settings)
    assert "blue" not in repr(provider.settings)


async def test_leaving_early_closes_the_connection(
    opened: Open, upstream: Upstream, context: ExecutionContext, ask: Ask, transport: str
) -> None:
    upstream.reply("/api/chat", stall_after(ollama_ndjson("The ", "sky"), 1))
    provider = await opened(http={"transport": transport})
    async with aclosing(provider.send_message_stream(ask(), context)) as stream:
        await anext(stream)
    async with asyncio.timeout(0.1):
        await upstream.requests[0].disconnected.wait()


async def test_a_complete_answer_does_not_wait_for_a_connection_that_stays_open(
    opened: Open, upstream: Upstream, context: ExecutionContext, ask: Ask, transport: str
) -> None:
    whole = ollama_ndjson("The ", "sky")
    upstream.reply("/api/chat", stall_after(whole, len(whole.steps)))
    provider = await opened(http={"transport": transport})
    async with asyncio.timeout(5):
        assert (await provider.send_message(ask(), context)).text == "The sky"
    await upstream.requests[0].disconnected.wait()


async def test_a_stopped_provider_says_so(
    opened: Open, context: ExecutionContext, ask: Ask
) -> None:
    provider = await opened()
    await provider.stop()
    with pytest.raises(Exception, match="the provider was stopped"):
        await provider.send_message(ask(), context)
