"""Whatever a server or the network does, there is the right error, in time, and nothing is left.

Each fault is tried with both transports, through a kernel, streamed and not.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import dovetail_ollama
from dovetail import Kernel, ProviderError, ProviderUnavailable, StreamInterrupted
from dovetail.testing import (
    cut_in_line,
    dies_when_reused,
    json_reply,
    length_mismatch,
    refused_url,
)
from plugins.ollama.tests.faults import BROKE_OFF, KEY, NEVER_BEGAN, PATIENT, WHOLE, Fault
from plugins.ollama.tests.samples import EMBEDDED

if TYPE_CHECKING:
    from dovetail.testing import Upstream


def opened(url: str, transport: str, fault: Fault | None = None, **settings: object) -> Kernel:
    http = {"transport": transport, **PATIENT, **(fault.http if fault else {})}
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
    assert KEY[:6] not in f"{error} {error.__cause__}"
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


OF_STREAMS = {
    *("total", "nothing", "cut in the first line", "endless line", "load", "unknown fields only"),
}
EMBED = {name: fault for name, fault in NEVER_BEGAN.items() if name not in OF_STREAMS}


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
