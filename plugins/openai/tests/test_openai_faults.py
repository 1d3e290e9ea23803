"""What errors of the provider say, and what becomes of its connections."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from dovetail import EmbeddingRequest, ExecutionContext, InvalidRequest, ProviderError
from dovetail.testing import (
    Repeat,
    ScriptedReply,
    event_stream,
    json_reply,
    openai_error,
    openai_sse,
    split_bytes,
    stall_after,
)
from plugins.openai.tests.conftest import CHAT, ask, chunks_of
from plugins.openai.tests.faults import FILLED, GOOD, KEY, NEVER_BEGAN, WHOLE

if TYPE_CHECKING:
    from dovetail.testing import Upstream
    from dovetail_openai import OpenAI
    from plugins.openai.tests.conftest import Open


async def failing(
    provider: OpenAI, upstream: Upstream, reply: ScriptedReply, *, stream: bool
) -> ProviderError:
    """The error that it gets, within bounded time and by one request."""
    upstream.reply(CHAT, reply)
    with pytest.raises(ProviderError) as caught:
        async with asyncio.timeout(5):
            if stream:
                await chunks_of(provider)
            else:
                await provider.send_message(ask(), ExecutionContext())
    error = caught.value
    assert KEY not in f"{error} {error!r} {error.__cause__!r}"
    assert len(upstream.requests) <= 1
    return error


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (NEVER_BEGAN["key"].reply, "check .*key"),
        (NEVER_BEGAN["model"].reply, "`dovetail models` lists what there is"),
        (NEVER_BEGAN["long"].reply, "shorten the conversation"),
        (NEVER_BEGAN["html 200"].reply, r"does `base_url` end as it should, such as in `/v1`\?"),
        (
            openai_error(400, "Extra inputs are not permitted: stream_options"),
            'set `stream_usage = "off"`',
        ),
        (
            openai_error(400, "Unsupported parameter: 'max_tokens' is not supported"),
            "see `max_tokens_field`",
        ),
    ],
)
async def test_an_error_says_what_to_do(
    upstream: Upstream, opened: Open, reply: ScriptedReply, said: str
) -> None:
    provider = await opened(api_key=KEY)
    error = await failing(provider, upstream, reply, stream=True)
    assert re.search(said, str(error))
    assert "\n" not in str(error)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_an_error_inside_an_answer_has_the_servers_id_of_the_request(
    upstream: Upstream, opened: Open, stream: bool
) -> None:
    reply = json_reply(200, {"error": {"message": "crashed"}}, {"x-request-id": "req-7"})
    error = await failing(await opened(), upstream, reply, stream=stream)
    assert error.details.request_id == "req-7"


async def test_an_error_inside_embeddings_shows_no_part_of_the_key(
    upstream: Upstream, opened: Open
) -> None:
    provider = await opened(api_key=KEY)
    request = EmbeddingRequest(input=("Hello",))
    upstream.script(json_reply(200, {"error": {"message": FILLED}}), json_reply(200, FILLED[420:]))
    for _ in range(2):
        with pytest.raises(ProviderError) as caught:
            await provider.embed(request, ExecutionContext())
        assert KEY[:6] not in f"{caught.value} {caught.value!r}"


async def test_a_missing_key_is_said_to_be_missing(upstream: Upstream, opened: Open) -> None:
    provider = await opened()
    error = await failing(provider, upstream, openai_error(401, "no key"), stream=False)
    assert "no `api_key` is set" in str(error)


async def test_a_stalled_end_of_the_body_does_not_hold_the_answer_back(
    upstream: Upstream, opened: Open
) -> None:
    upstream.reply(CHAT, stall_after(openai_sse("Hello"), 3))
    async with asyncio.timeout(2):
        assert "".join(chunk.text for chunk in await chunks_of(await opened())) == "Hello"


async def test_what_a_server_sends_after_done_without_end_is_not_read_for_ever(
    upstream: Upstream, opened: Open, transport: str
) -> None:
    provider = await opened(http={"transport": transport})
    steps = openai_sse("Hello").steps
    upstream.reply(CHAT, event_stream(*steps, Repeat((b": more\n\n" * 1000,))))
    async with asyncio.timeout(2):
        assert "".join(chunk.text for chunk in await chunks_of(provider)) == "Hello"
        await upstream.requests[0].disconnected.wait()


async def test_a_stopped_provider_says_so(upstream: Upstream, opened: Open) -> None:
    provider = await opened()
    await provider.stop()
    error = await failing(provider, upstream, GOOD, stream=False)
    assert "stopped" in str(error)
    assert not error.details.may_retry


async def test_a_connection_serves_many_answers(
    upstream: Upstream, opened: Open, transport: str
) -> None:
    provider = await opened(http={"transport": transport})
    upstream.reply(CHAT, GOOD, WHOLE, GOOD, openai_error(400, "no"), split_bytes(GOOD), GOOD)
    for number in range(6):
        try:
            await (
                provider.send_message(ask(), ExecutionContext())
                if number == 1
                else chunks_of(provider)
            )
        except InvalidRequest:
            assert number == 3
    assert upstream.connections == 1


async def test_leaving_a_stream_closes_its_connection(
    upstream: Upstream, opened: Open, transport: str
) -> None:
    provider = await opened(http={"transport": transport})
    upstream.reply(CHAT, stall_after(GOOD, 1))
    stream = provider.send_message_stream(ask(), ExecutionContext())
    await anext(stream)
    await stream.aclose()
    async with asyncio.timeout(0.1):
        await upstream.requests[0].disconnected.wait()
