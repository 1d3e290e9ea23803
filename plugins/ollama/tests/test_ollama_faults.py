"""Whatever a server or the network does, there is the right error, in time, and nothing is left.

Each fault is tried with both transports, through a kernel, streamed and not.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

import dovetail_ollama
from dovetail import (
    AuthenticationError,
    ContextTooLong,
    InvalidRequest,
    InvalidResponse,
    Kernel,
    ModelNotFound,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    StreamInterrupted,
)
from dovetail.testing import (
    ScriptedReply,
    close_before_headers,
    comments_only,
    cut_between,
    cut_in_line,
    dies_when_reused,
    error_inside,
    garbage,
    html_page,
    json_reply,
    length_mismatch,
    ollama_ndjson,
    refused_url,
    reset_at_accept,
    reset_before_headers,
    retry_later,
    stall_after,
    stall_before_body,
    stall_before_headers,
)
from plugins.ollama.tests.samples import EMBEDDED, not_found

if TYPE_CHECKING:
    from dovetail.testing import Upstream

WHOLE = ollama_ndjson("The ", "sky ", "is ", "blue.")
KEY = "k-very-secret-123"
QUICK = {"connect": 1, "first_byte": 0.2, "between": 0.2}


@dataclass(frozen=True)
class Fault:
    """What the server does, and what a host is told of it."""

    reply: ScriptedReply
    error: type[ProviderError]
    says: str
    may_retry: bool
    status: int | None = None
    text: str = ""
    retry_after: float | None = None
    http: dict[str, Any] = field(default_factory=dict)


def said(status: int, words: str, headers: dict[str, str] | None = None) -> ScriptedReply:
    return json_reply(status, {"error": words}, headers)


NEVER_BEGAN = {
    "reset at accept": Fault(reset_at_accept(), ProviderUnavailable, "closed the", may_retry=True),
    "reset": Fault(reset_before_headers(), ProviderUnavailable, "closed the", may_retry=True),
    "closed": Fault(close_before_headers(), ProviderUnavailable, "closed the", may_retry=True),
    "stalled": Fault(stall_before_headers(), ProviderTimeout, "did not begin", may_retry=True),
    "stalled head": Fault(
        stall_before_body(WHOLE), ProviderTimeout, "did not begin", may_retry=True
    ),
    "HTML page": Fault(html_page(502), ProviderUnavailable, "502: .*Bad Gateway", True, 502),
    "rate limit": Fault(retry_later(429, 7), RateLimited, "come again", True, 429, retry_after=7.0),
    "busy": Fault(
        said(503, "server busy, please try again.  maximum pending requests exceeded"),
        ProviderUnavailable,
        "server busy",
        True,
        503,
    ),
    "crash": Fault(said(500, "llama runner terminated"), ProviderUnavailable, "runner", True, 500),
    "no key": Fault(said(401, "unauthorized"), AuthenticationError, "api_key", False, 401),
    "no model": Fault(not_found("m"), ModelNotFound, "dovetail ollama pull m", False, 404),
    "bad request": Fault(said(400, "invalid options"), InvalidRequest, "options", False, 400),
    "too long": Fault(
        said(400, "the input length exceeds the context length"),
        ContextTooLong,
        "shorten the conversation",
        False,
        400,
    ),
    "wrong address": Fault(html_page(404), InvalidRequest, "check `base_url`", False, 404),
    "moved": Fault(
        json_reply(302, {}, {"location": "https://elsewhere/"}),
        InvalidRequest,
        "https://elsewhere/: .*`base_url`",
        False,
        302,
    ),
    "page with a good status": Fault(html_page(200), InvalidResponse, "not JSON", may_retry=False),
    "garbage": Fault(garbage(), InvalidResponse, "not JSON", may_retry=False),
    "nothing": Fault(cut_between(WHOLE, 0), StreamInterrupted, "before it began", may_retry=True),
    "cut in the first line": Fault(
        cut_in_line(WHOLE, 0), StreamInterrupted, "middle of a line", may_retry=True
    ),
    "an error at once": Fault(
        error_inside(WHOLE, 0, "unexpected EOF"), ProviderUnavailable, "EOF", True, 200
    ),
    "total": Fault(
        comments_only(WHOLE, 0, comment=b"\n"),
        ProviderTimeout,
        "not complete within 0.3 s",
        may_retry=False,
        http={"first_byte": 9, "between": 9, "total": 0.3},
    ),
}
BROKE_OFF = {
    "stalled": Fault(stall_after(WHOLE, 2), ProviderTimeout, "stood still", True, text="The sky "),
    "blank lines only": Fault(
        comments_only(WHOLE, 2, comment=b"\n"),
        ProviderTimeout,
        "stood still",
        True,
        text="The sky ",
    ),
    "cut between lines": Fault(
        cut_between(WHOLE, 2), StreamInterrupted, "before it was complete", True, text="The sky "
    ),
    "cut before the last line": Fault(
        cut_between(WHOLE, 4), StreamInterrupted, "before it was", True, text="The sky is blue."
    ),
    "cut in a line": Fault(
        cut_in_line(WHOLE, 2), StreamInterrupted, "middle of a line", True, text="The sky "
    ),
    "cut in the last line": Fault(
        cut_in_line(WHOLE, 4), StreamInterrupted, "middle of", True, text="The sky is blue."
    ),
    "connection closed": Fault(
        cut_between(WHOLE, 2, clean=False), StreamInterrupted, "broke", True, text="The sky "
    ),
    "shorter than promised": Fault(
        length_mismatch(cut_between(WHOLE, 2)), StreamInterrupted, "broke", True, text="The sky "
    ),
    "an error": Fault(
        error_inside(WHOLE, 2, "an error was encountered while running the model"),
        ProviderUnavailable,
        "while running the model",
        True,
        200,
        text="The sky ",
    ),
}


def opened(url: str, transport: str, fault: Fault | None = None, **settings: object) -> Kernel:
    http = {"transport": transport, **QUICK, **(fault.http if fault else {})}
    table = {"base_url": url, "num_ctx": 4096, "api_key": KEY, "http": http, **settings}
    config = {
        "chat": {"model": "ollama/m", "embedding_model": "ollama/m"},
        "providers": {"ollama": table},
    }
    kernel = Kernel.open(config, env={}, discover_installed=False)
    return kernel.register("ollama", dovetail_ollama)


def asked(upstream: Upstream, path: str) -> int:
    return sum(request.path == path for request in upstream.requests)


def check(error: ProviderError, fault: Fault) -> None:
    assert type(error) is fault.error
    assert KEY not in str(error)
    details = error.details
    assert details.may_retry is fault.may_retry
    assert (details.provider, details.model) == ("ollama", "m")
    assert details.retry_after == fault.retry_after
    if fault.status is not None:
        assert details.status == fault.status


@pytest.mark.parametrize("fault", NEVER_BEGAN.values(), ids=NEVER_BEGAN.keys())
@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_never_began(
    upstream: Upstream, transport: str, fault: Fault, stream: bool
) -> None:
    upstream.reply("/api/chat", fault.reply)
    async with opened(upstream.url, transport, fault) as kernel, asyncio.timeout(5):
        with pytest.raises(ProviderError, match=fault.says) as caught:
            if stream:
                async with kernel.stream("Why?") as answer:
                    async for _ in answer:
                        pytest.fail("nothing came that could be shown")
            else:
                await kernel.chat("Why?")
        check(caught.value, fault)
        assert asked(upstream, "/api/chat") <= 1  # who retries is not the provider


@pytest.mark.parametrize("fault", BROKE_OFF.values(), ids=BROKE_OFF.keys())
@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_broke_off(
    upstream: Upstream, transport: str, fault: Fault, stream: bool
) -> None:
    upstream.reply("/api/chat", fault.reply)
    text = ""
    async with opened(upstream.url, transport, fault) as kernel, asyncio.timeout(5):
        with pytest.raises(ProviderError, match=fault.says) as caught:
            if stream:
                async with kernel.stream("Why?") as answer:
                    async for chunk in answer:
                        text += chunk.text
            else:
                await kernel.chat("Why?")
        check(caught.value, fault)
        assert caught.value.response is not None
        assert caught.value.response.text == fault.text
        assert text == (fault.text if stream else "")
        assert len(upstream.requests) == 1


EMBED = {
    name: fault
    for name, fault in NEVER_BEGAN.items()
    if name not in {"total", "nothing", "cut in the first line", "an error at once"}
}


@pytest.mark.parametrize("fault", EMBED.values(), ids=EMBED.keys())
async def test_vectors_that_never_came(upstream: Upstream, transport: str, fault: Fault) -> None:
    upstream.reply("/api/embed", fault.reply)
    async with opened(upstream.url, transport, fault) as kernel, asyncio.timeout(5):
        with pytest.raises(ProviderError, match=fault.says) as caught:
            await kernel.embed("a text")
        check(caught.value, fault)
        assert asked(upstream, "/api/embed") <= 1


async def test_vectors_that_are_cut_short_are_no_vectors(
    upstream: Upstream, transport: str
) -> None:
    whole = json_reply(200, EMBEDDED)
    for reply in (cut_in_line(whole, 0), length_mismatch(whole)):
        upstream.reply("/api/embed", reply)
        async with opened(upstream.url, transport) as kernel:
            with pytest.raises(StreamInterrupted):
                await kernel.embed("a text")


async def test_a_server_that_is_down_says_how_to_start_it(transport: str) -> None:
    async with opened(refused_url(), transport) as kernel:
        for work in (kernel.chat("Why?"), kernel.embed("a text")):
            with pytest.raises(ProviderUnavailable) as caught:
                await work
            assert "is Ollama running? Start it with `ollama serve`, or set `base_url`" in str(
                caught.value
            )
            assert caught.value.details.may_retry
        assert await kernel.models() == []


async def test_a_host_that_does_not_exist_is_told_like_a_server_that_is_down(
    transport: str,
) -> None:
    async with opened("http://no-such-host.invalid:11434", transport) as kernel:
        with pytest.raises(ProviderUnavailable, match="nothing answers at http://no-such-host"):
            await kernel.chat("Why?")


async def test_a_pooled_connection_that_died_is_replaced(
    upstream: Upstream, transport: str
) -> None:
    upstream.reply("/api/chat", dies_when_reused(WHOLE), WHOLE)
    async with opened(upstream.url, transport) as kernel:
        for _ in range(2):
            assert (await kernel.chat("Why?")).text == "The sky is blue."
    assert upstream.connections == 2


async def test_after_a_fault_the_next_answer_is_fine(upstream: Upstream, transport: str) -> None:
    upstream.reply("/api/chat", *(fault.reply for fault in BROKE_OFF.values()), WHOLE)
    async with opened(upstream.url, transport) as kernel:
        for _ in BROKE_OFF:
            with pytest.raises(ProviderError):
                await kernel.chat("Why?")
        assert (await kernel.chat("Why?")).text == "The sky is blue."
