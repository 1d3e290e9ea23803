"""Whatever goes wrong on the way: the right error, one request, no answer that looks complete."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import (
    AuthenticationError,
    ContentFiltered,
    ContextTooLong,
    ExecutionContext,
    InvalidRequest,
    InvalidResponse,
    ModelNotFound,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    StreamInterrupted,
)
from dovetail.testing import (
    Repeat,
    ScriptedReply,
    close_before_headers,
    comments_only,
    cut_between,
    cut_in_line,
    dies_when_reused,
    drip,
    error_inside,
    event_stream,
    garbage,
    gzipped,
    html_page,
    json_reply,
    length_mismatch,
    openai_error,
    openai_json,
    openai_sse,
    refused_url,
    reset_at_accept,
    reset_before_headers,
    retry_later,
    split_bytes,
    stall_after,
    stall_before_body,
    stall_before_headers,
    with_type,
)
from plugins.openai.tests.conftest import CHAT, LIMITS, ask, chunks_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dovetail.testing import Upstream
    from dovetail_openai import OpenAI
    from plugins.openai.tests.conftest import Open

KEY = "not-a-wellknown-form-of-key"
GOOD = openai_sse("Hello there friend", usage={"prompt_tokens": 5})
WHOLE = openai_json("Hello there friend")

BEFORE = {
    "reset at accept": (reset_at_accept(), ProviderUnavailable),
    "reset": (reset_before_headers(), ProviderUnavailable),
    "close": (close_before_headers(), ProviderUnavailable),
    "stall": (stall_before_headers(), ProviderTimeout),
    "html 502": (html_page(502), ProviderUnavailable),
    "html 404": (html_page(404, "Not Found"), InvalidRequest),
    "html 200": (html_page(200, "Welcome"), InvalidResponse),
    "garbage 500": (garbage(500), ProviderUnavailable),
    "503": (retry_later(503), ProviderUnavailable),
    "429": (retry_later(429, 2), RateLimited),
    "key": (openai_error(401, f"Incorrect API key provided: {KEY}"), AuthenticationError),
    "model": (
        openai_error(404, "The model `x` does not exist", code="model_not_found"),
        ModelNotFound,
    ),
    "long": (
        openai_error(400, "maximum context length is 8", code="context_length_exceeded"),
        ContextTooLong,
    ),
    "filtered": (openai_error(400, "filtered", code="content_filter"), ContentFiltered),
    "invalid": (openai_error(400, "Unknown parameter: 'x'"), InvalidRequest),
    "error inside 200": (json_reply(200, {"error": {"message": "crashed"}}), ProviderUnavailable),
}

STREAMED = {
    "stall before the body": (stall_before_body(GOOD), ProviderTimeout),
    "stall between chunks": (stall_after(GOOD, 2), ProviderTimeout),
    "comments only": (comments_only(GOOD), ProviderTimeout),
    "comments after a chunk": (comments_only(GOOD, 1), ProviderTimeout),
    "cut in a line": (cut_in_line(GOOD, 1), StreamInterrupted),
    "cut in a line, unclean": (cut_in_line(GOOD, 1, clean=False), StreamInterrupted),
    "cut between events": (cut_between(GOOD, 2), StreamInterrupted),
    "cut between events, unclean": (cut_between(GOOD, 2, clean=False), StreamInterrupted),
    "no finish reason": (openai_sse("Hello there", finish=None), StreamInterrupted),
    "no finish reason and no [DONE]": (
        openai_sse("Hi", finish=None, done=False),
        StreamInterrupted,
    ),
    "nothing": (event_stream(), StreamInterrupted),
    "only [DONE]": (event_stream(b"data: [DONE]\n\n"), StreamInterrupted),
    "error inside": (error_inside(GOOD, 2), ProviderUnavailable),
    "error at once": (error_inside(GOOD, 0), ProviderUnavailable),
    "garbage": (garbage(), InvalidResponse),
    "html under another type": (with_type(html_page(200), "text/plain"), InvalidResponse),
    "an event stream under text/html": (with_type(GOOD, "text/html"), InvalidResponse),
}

WHOLES = {
    "stall before the body": (stall_before_body(WHOLE), ProviderTimeout),
    "cut": (cut_in_line(WHOLE, 0), (InvalidResponse, StreamInterrupted)),
    "too short": (length_mismatch(WHOLE, 10), StreamInterrupted),
    "garbage": (garbage(), InvalidResponse),
    "no choices": (json_reply(200, {"choices": []}), InvalidResponse),
    "an empty object": (json_reply(200, {}), InvalidResponse),
    "no finish reason": (
        json_reply(200, {"choices": [{"message": {"content": "a"}, "finish_reason": None}]}),
        InvalidResponse,
    ),
    "html under another type": (with_type(html_page(200), "application/json"), InvalidResponse),
}


def cases(*tables: Mapping[str, tuple[ScriptedReply, object]]) -> list[Any]:
    return [
        pytest.param(reply, error, id=name)
        for table in tables
        for name, (reply, error) in table.items()
    ]


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


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(("reply", "expected"), cases(BEFORE))
async def test_a_request_that_gets_no_answer_says_why(
    upstream: Upstream,
    opened: Open,
    transport: str,
    reply: ScriptedReply,
    expected: type[ProviderError],
    stream: bool,
) -> None:
    provider = await opened(http={**LIMITS, "transport": transport}, api_key=KEY)
    error = await failing(provider, upstream, reply, stream=stream)
    assert type(error) is expected


@pytest.mark.parametrize(("reply", "expected"), cases(STREAMED))
async def test_a_stream_that_is_not_complete_does_not_look_complete(
    upstream: Upstream,
    opened: Open,
    transport: str,
    reply: ScriptedReply,
    expected: type[ProviderError],
) -> None:
    provider = await opened(http={**LIMITS, "transport": transport})
    error = await failing(provider, upstream, reply, stream=True)
    assert type(error) is expected


@pytest.mark.parametrize(("reply", "expected"), cases(WHOLES))
async def test_a_whole_answer_that_is_not_complete_is_none(
    upstream: Upstream,
    opened: Open,
    transport: str,
    reply: ScriptedReply,
    expected: type[ProviderError],
) -> None:
    provider = await opened(http={**LIMITS, "transport": transport})
    assert isinstance(await failing(provider, upstream, reply, stream=False), expected)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_server_that_is_down_is_named(
    upstream: Upstream, opened: Open, transport: str, stream: bool
) -> None:
    provider = await opened(base_url=refused_url(), http={"transport": transport})
    error = await failing(provider, upstream, WHOLE, stream=stream)
    assert isinstance(error, ProviderUnavailable)
    assert "nothing listens at http://127.0.0.1:1" in str(error)


async def test_the_total_time_is_limited(upstream: Upstream, opened: Open) -> None:
    provider = await opened(http={"total": "0.2s"})
    slow = drip(GOOD, size=1, every=0.05)
    assert isinstance(await failing(provider, upstream, slow, stream=True), ProviderTimeout)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (BEFORE["key"][0], "check .*key"),
        (BEFORE["model"][0], "`dovetail models` lists what there is"),
        (BEFORE["long"][0], "shorten the conversation"),
        (BEFORE["html 200"][0], r"does `base_url` end as it should, such as in `/v1`\?"),
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


async def test_a_missing_key_is_said_to_be_missing(upstream: Upstream, opened: Open) -> None:
    provider = await opened()
    error = await failing(provider, upstream, openai_error(401, "no key"), stream=False)
    assert "no `api_key` is set" in str(error)


@pytest.mark.parametrize(
    "reply",
    [
        split_bytes(GOOD),
        drip(GOOD, size=7, every=0.001),
        gzipped(GOOD),
        openai_sse("Hello there friend", usage={"prompt_tokens": 5}, done=False),
        with_type(GOOD, "application/octet-stream"),
        openai_json("Hello there friend"),
    ],
    ids=["byte by byte", "dripping", "gzip", "no [DONE]", "another type", "whole after all"],
)
async def test_odd_ways_to_send_a_good_answer_are_fine(
    upstream: Upstream, opened: Open, transport: str, reply: ScriptedReply
) -> None:
    provider = await opened(http={"transport": transport})
    upstream.reply(CHAT, reply)
    chunks = await chunks_of(provider)
    assert "".join(chunk.text for chunk in chunks) == "Hello there friend"
    assert [chunk.usage.prompt_tokens for chunk in chunks if chunk.usage] == [5]


async def test_an_answer_that_has_ended_is_complete_though_the_connection_breaks_then(
    upstream: Upstream, opened: Open, transport: str
) -> None:
    provider = await opened(http={"transport": transport})
    upstream.reply(CHAT, cut_between(openai_sse("Hello there"), 3, clean=False))
    assert "".join(chunk.text for chunk in await chunks_of(provider)) == "Hello there"


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


async def test_a_connection_that_died_in_the_pool_is_replaced(
    upstream: Upstream, opened: Open, transport: str
) -> None:
    provider = await opened(http={"transport": transport})
    upstream.reply(CHAT, dies_when_reused(GOOD))
    for _ in range(3):
        await chunks_of(provider)
    assert upstream.connections == 3


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
