"""What is asked on the wire: real providers against scripted servers on real sockets."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal

import pytest

from dovetail import (
    AuthenticationError,
    ContentFiltered,
    ContextTooLong,
    Kernel,
    ModelNotFound,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    StreamInterrupted,
)
from dovetail.testing import ScriptedReply as Reply
from dovetail.testing import (
    Upstream,
    close_before_headers,
    cut_between,
    html_page,
    json_reply,
    ollama_ndjson,
    openai_embeddings,
    openai_error,
    openai_json,
    openai_sse,
    refused_url,
    reset_before_headers,
    retry_later,
    stall_after,
    stall_before_headers,
)
from plugins.resilience.tests.asking import Ask, chat, embed, stream

Serve = Callable[..., AbstractAsyncContextManager[Kernel]]


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def other() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
def serving(upstream: Upstream, other: Upstream) -> Serve:
    """A kernel with plugin `openai` twice, for both servers; quick to try again."""

    @asynccontextmanager
    async def opened(*, url: str = "", **settings: Any) -> AsyncIterator[Kernel]:
        http = {"first_byte": 0.8, "between": 0.8}
        table = {"use": "openai", "http": http}
        config = {
            "chat": {"model": "main/one", "embedding_model": "main/one"},
            "providers": {
                "main": {**table, "base_url": f"{url or upstream.url}/v1"},
                "backup": {**table, "base_url": f"{other.url}/v1"},
            },
            "middleware": [{"use": "resilience", "first_wait": 0.01, **settings}],
        }
        async with Kernel.open(config, env={}) as kernel:
            yield kernel

    return opened


def good(ask: Ask) -> Reply:
    """An answer for that way of asking."""
    if ask is embed:
        return openai_embeddings()
    return openai_sse("All is well.") if ask is stream else openai_json("All is well.")


@pytest.mark.parametrize(
    "fault",
    [
        reset_before_headers(),
        close_before_headers(),
        stall_before_headers(),
        html_page(502),
        retry_later(429),
        openai_error(500, "oh"),
        openai_error(503, "busy"),
        openai_error(529, "busy"),
        openai_error(408, "slow"),
        openai_error(409, "locked"),
    ],
    ids=[
        *("reset", "closed", "stalled", "html", "429", "500", "503", "529", "408", "409"),
    ],
)
async def test_a_fault_that_may_pass_is_tried_again(
    serving: Serve, upstream: Upstream, ask: Ask, fault: Reply
) -> None:
    async with serving() as kernel:
        upstream.script(fault, fault, good(ask))
        response = await ask(kernel)
        assert len(upstream.requests) == 3
        assert response.metadata["resilience"]["attempts"] == 3


async def test_a_fault_that_stays_is_asked_three_times(
    serving: Serve, upstream: Upstream, ask: Ask
) -> None:
    async with serving() as kernel:
        upstream.script(openai_error(503, "busy"))
        with pytest.raises(ProviderUnavailable, match=r"busy.*`main/one` 3 times") as caught:
            await ask(kernel)
        assert caught.value.details.status == 503
        assert len(upstream.requests) == 3


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (openai_error(401, "bad key"), AuthenticationError),
        (openai_error(404, "no such model", code="model_not_found"), ModelNotFound),
        (openai_error(400, "too long", code="context_length_exceeded"), ContextTooLong),
        (openai_error(400, "no", code="content_filter"), ContentFiltered),
        (openai_error(429, "no credit", code="insufficient_quota"), RateLimited),
        (retry_later(429, 121), RateLimited),
        (json_reply(503, {"error": "no"}, {"x-should-retry": "false"}), ProviderUnavailable),
    ],
    ids=["key", "model", "length", "filter", "quota", "far", "told"],
)
async def test_what_cannot_pass_is_sent_once(
    serving: Serve, upstream: Upstream, ask: Ask, fault: Reply, kind: type[ProviderError]
) -> None:
    async with serving() as kernel:
        upstream.script(fault)
        with pytest.raises(kind):
            await ask(kernel)
        sent = [request for request in upstream.requests if request.method == "POST"]
        assert len(sent) == 1


@pytest.mark.parametrize(
    ("form", "seconds", "least"),
    [("seconds", 1, 1.0), ("milliseconds", 0.3, 0.3), ("date", 2, 0.9)],
)
async def test_retry_after_is_obeyed_in_its_three_forms(
    serving: Serve,
    upstream: Upstream,
    form: Literal["seconds", "milliseconds", "date"],
    seconds: float,
    least: float,
) -> None:
    async with serving() as kernel:
        upstream.script(retry_later(429, seconds, form), good(chat))
        began = time.monotonic()
        response = await chat(kernel)
        assert least <= time.monotonic() - began < seconds * 1.1 + 0.5
    (retry,) = response.metadata["resilience"]["decisions"]
    assert (retry["decision"], retry["reason"], retry["status"]) == ("retry", "retry_after", 429)


async def test_a_stream_that_is_cut_is_not_sent_again_once_a_chunk_was_handed_on(
    serving: Serve, upstream: Upstream, other: Upstream
) -> None:
    async with serving(fallback=["backup/two"]) as kernel:
        upstream.script(cut_between(openai_sse("All is well."), 2))
        with pytest.raises(StreamInterrupted) as caught:
            await stream(kernel)
        assert caught.value.response is not None
        assert caught.value.response.text == "All is "
        assert (len(upstream.requests), len(other.requests)) == (1, 0)


async def test_a_stream_that_is_cut_while_it_is_held_is_sent_again(
    serving: Serve, upstream: Upstream
) -> None:
    async with serving(hold="end") as kernel:
        upstream.script(cut_between(openai_sse("All is well."), 2), good(stream))
        assert (await stream(kernel)).text == "All is well."
        assert len(upstream.requests) == 2


async def test_an_answer_that_is_cut_is_sent_again(serving: Serve, upstream: Upstream) -> None:
    async with serving() as kernel:
        upstream.script(cut_between(openai_json("All is well."), 0, clean=False), good(chat))
        assert (await chat(kernel)).text == "All is well."
        assert len(upstream.requests) == 2


async def test_a_server_that_is_down_is_replaced(serving: Serve, other: Upstream, ask: Ask) -> None:
    fallback = ["backup/two"]
    settings = {"fallback": fallback, "embedding_fallback": fallback, "url": refused_url()}
    async with serving(**settings) as kernel:
        other.script(good(ask))
        response = await ask(kernel)
        assert response.provider == "backup"
        (request,) = other.requests
        assert request.json["model"] == "two"
    noted = response.metadata["resilience"]
    assert [d["decision"] for d in noted["decisions"]] == ["retry", "retry", "fallback"]
    assert noted["attempts"] == 4


async def test_a_server_that_hangs_is_left_when_the_budget_ends(
    serving: Serve, upstream: Upstream, ask: Ask
) -> None:
    async with serving(budget=0.1) as kernel:
        upstream.script(stall_before_headers())
        began = time.monotonic()
        with pytest.raises(ProviderTimeout, match=r"`budget` of 0\.1 s"):
            await ask(kernel)
        assert time.monotonic() - began < 1
        (request,) = upstream.requests
        await request.disconnected.wait()


async def test_an_open_circuit_keeps_the_wire_quiet(
    serving: Serve, upstream: Upstream, ask: Ask
) -> None:
    async with serving(breaker={"failures": 3}) as kernel:
        upstream.script(openai_error(500, "oh"))
        for _ in range(20):
            with pytest.raises(ProviderUnavailable):
                await ask(kernel)
        assert len(upstream.requests) == 3


@pytest.mark.parametrize("hold", ["first_chunk", "2 chunks"])
async def test_leaving_a_stream_early_closes_the_connection(
    serving: Serve, upstream: Upstream, hold: str
) -> None:
    async with serving(hold=hold) as kernel:
        upstream.script(stall_after(openai_sse("All is well."), 2))
        async with kernel.stream("Hello") as answer:
            await anext(aiter(answer))
        (request,) = upstream.requests
        await request.disconnected.wait()


async def test_two_servers_of_one_kind_and_one_of_another_serve_one_kernel() -> None:
    async with Upstream() as first, Upstream() as second, Upstream() as third:
        config = {
            "chat": {"model": "first/one"},
            "providers": {
                "first": {"use": "openai", "base_url": f"{first.url}/v1"},
                "second": {"use": "openai", "base_url": f"{second.url}/v1"},
                "third": {"use": "ollama", "base_url": third.url},
            },
            "middleware": [
                {"use": "resilience", "attempts": 1, "fallback": ["second/two", "third/three"]}
            ],
        }
        async with Kernel.open(config, env={}) as kernel:
            first.script(openai_error(503, "busy"), openai_error(503, "busy"), good(chat))
            second.script(retry_later(429), good(stream))
            third.script(ollama_ndjson("From the third."))
            answers = [await stream(kernel), await stream(kernel), await chat(kernel)]
    assert [answer.provider for answer in answers] == ["third", "second", "first"]
    assert answers[0].text == "From the third."
    assert [r.json["model"] for r in third.requests if r.path == "/api/chat"] == ["three"]
