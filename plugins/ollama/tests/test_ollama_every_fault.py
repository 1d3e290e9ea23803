"""Every fault in the chain that hosts have: how often the wire is used, and what is left of it.

Each is met with and without the middleware `resilience`, streamed and not, with a `num_ctx` in the
config and without: there the server is first asked what the model's own is. The provider by itself
with a `num_ctx` is tested beside this, with both transports.
"""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING

import pytest

from dovetail import FinishReason, Kernel, ProviderError, ProviderUnavailable
from dovetail.testing import json_reply, ollama_tags, refused_url
from dovetail.testing.leaks import within
from plugins.ollama.tests.faults import BROKE_OFF, HARMLESS, KEY, NEVER_BEGAN, PATIENT, WHOLE, Fault
from plugins.ollama.tests.samples import SHOWN

if TYPE_CHECKING:
    from dovetail.testing import ScriptedReply, Upstream

ATTEMPTS = 2
LONGEST_WAIT = 1.0
"""Seconds; a server that asks for more is not asked again."""

pytestmark = [
    pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"]),
    pytest.mark.parametrize(
        ("tries", "num_ctx"),
        [(ATTEMPTS, 4096), (ATTEMPTS, None), (1, None)],
        ids=["resilience", "resilience and no num_ctx", "no num_ctx"],
    ),
]


def opened(url: str, tries: int, num_ctx: int | None, fault: Fault | None = None) -> Kernel:
    table = {
        "base_url": url,
        "api_key": KEY,
        "http": {**PATIENT, **(fault.http if fault else {})},
        **({"num_ctx": num_ctx} if num_ctx else {}),
    }
    resilience = {
        "use": "resilience",
        "attempts": tries,
        "first_wait": 0.01,
        "longest_wait": LONGEST_WAIT,
    }
    config = {
        "chat": {"model": "ollama/m"},
        "providers": {"ollama": table},
        "middleware": [resilience] if tries > 1 else [],
    }
    return Kernel.open(config, env={})


async def ask(kernel: Kernel, seen: list[str], *, stream: bool) -> None:
    """Add to `seen` what a reader of the answer sees of it."""
    if not stream:
        seen.append((await kernel.chat("Why?")).text)
        return
    async with kernel.stream("Why?") as answer:
        async for chunk in answer:
            seen.append(chunk.text)  # noqa: PERF401 - those before an error count too


def attempts_at(fault: Fault, tries: int, *, shown: bool) -> int:
    passing = fault.may_retry and (fault.retry_after or 0) <= LONGEST_WAIT
    return tries if passing and not shown else 1


def check(error: ProviderError, fault: Fault) -> None:
    """It is the right one, it says so, and says nothing of the key, wherever one looks."""
    assert type(error) is fault.error
    assert error.details.retry_after == fault.retry_after
    told = f"{''.join(traceback.format_exception(error))} {error.details} {error.metadata}"
    assert KEY[:6] not in told
    if error.response is not None:
        assert error.response.finish_reason is FinishReason.ERROR
        assert KEY[:6] not in error.response.model_dump_json()


def sent(upstream: Upstream) -> list[str]:
    """The paths that were asked for an answer, in order."""
    return [request.path for request in upstream.requests if request.method == "POST"]


async def closed(upstream: Upstream) -> None:
    """No request is left that is still being answered."""
    async with within(5, "every exchange is over"):
        for request in upstream.requests:
            ends = {asyncio.create_task(e.wait()) for e in (request.answered, request.disconnected)}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in ends:
                end.cancel()


@pytest.mark.parametrize("fault", NEVER_BEGAN.values(), ids=NEVER_BEGAN.keys())
async def test_an_answer_that_never_begins_is_asked_for_as_often_as_it_may_help(
    upstream: Upstream, fault: Fault, num_ctx: int | None, tries: int, stream: bool
) -> None:
    seen: list[str] = []
    upstream.script(fault.reply)
    upstream.reply("/api/tags", ollama_tags())  # asked for names that are near an unknown one
    async with opened(upstream.url, tries, num_ctx, fault) as kernel, within(20, "it ends"):
        with pytest.raises(ProviderError, match=fault.says) as caught:
            await ask(kernel, seen, stream=stream)
        await closed(upstream)
    check(caught.value, fault)
    assert seen == []
    attempts = attempts_at(fault, tries, shown=False)
    if fault.reply.at_accept:
        assert (upstream.connections, len(upstream.requests)) == (attempts, 0)
        return
    expected = ["/api/chat"] * attempts
    if num_ctx is None:
        # One that the chat would meet too is its error, or else the question is put only once.
        expected = ["/api/show", *expected] if fault.passes_show else ["/api/show"] * attempts
    assert sent(upstream) == expected


@pytest.mark.parametrize("fault", BROKE_OFF.values(), ids=BROKE_OFF.keys())
async def test_an_answer_that_breaks_off_is_asked_for_again_only_if_nobody_saw_of_it(
    upstream: Upstream, fault: Fault, num_ctx: int | None, tries: int, stream: bool
) -> None:
    seen: list[str] = []
    upstream.reply("/api/show", json_reply(200, SHOWN))
    upstream.reply("/api/chat", fault.reply)
    async with opened(upstream.url, tries, num_ctx, fault) as kernel, within(20, "it ends"):
        with pytest.raises(ProviderError, match=fault.says) as caught:
            await ask(kernel, seen, stream=stream)
        await closed(upstream)
    check(caught.value, fault)
    assert "".join(seen) == (fault.text if stream else "")
    assert caught.value.response is not None
    assert caught.value.response.text == fault.text
    attempts = attempts_at(fault, tries, shown=stream)
    shows = [] if num_ctx else ["/api/show"]
    assert sent(upstream) == [*shows, *["/api/chat"] * attempts]


@pytest.mark.parametrize("reply", HARMLESS.values(), ids=HARMLESS.keys())
async def test_what_is_only_odd_is_a_whole_answer_to_one_request(
    upstream: Upstream, reply: ScriptedReply, num_ctx: int | None, tries: int, stream: bool
) -> None:
    upstream.reply("/api/show", json_reply(200, SHOWN))
    upstream.reply("/api/chat", reply, WHOLE)
    async with opened(upstream.url, tries, num_ctx) as kernel, within(20, "it ends"):
        for _ in range(2):
            seen: list[str] = []
            await ask(kernel, seen, stream=stream)
            assert "".join(seen) == "The sky is blue."
    again = 1 if reply.then_dies else 0  # the one that met the closed connection was sent anew
    shows = [] if num_ctx else ["/api/show"]
    assert sent(upstream) == [*shows, *["/api/chat"] * (2 + again)]


async def test_a_server_that_is_down_is_tried_again(
    tidy: None, num_ctx: int | None, tries: int, stream: bool
) -> None:
    async with opened(refused_url(), tries, num_ctx) as kernel, within(20, "it ends"):
        with pytest.raises(ProviderUnavailable, match="is Ollama running") as caught:
            await ask(kernel, [], stream=stream)
    noted = caught.value.metadata.get("resilience", {})
    assert noted.get("attempts", 1) == tries
