"""The window that requests ask for, where the config does not say and the model is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import dovetail_ollama.server
from dovetail import (
    AuthenticationError,
    EmbeddingRequest,
    Kernel,
    ModelNotFound,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    StreamInterrupted,
)
from dovetail.testing import (
    ScriptedReply,
    cut_in_line,
    html_page,
    json_reply,
    ollama_embeddings,
    ollama_ndjson,
    retry_later,
)
from plugins.ollama.tests.samples import LOADED, SHOWN, not_found

if TYPE_CHECKING:
    from dovetail import ExecutionContext
    from dovetail.testing import Upstream
    from plugins.ollama.tests.conftest import Ask, Open


def paths(upstream: Upstream) -> list[str]:
    return [request.path for request in upstream.requests]


async def test_the_models_own_window_is_asked_for_once_and_sent(
    opened: Open, upstream: Upstream, context: ExecutionContext, ask: Ask
) -> None:
    shown = {**SHOWN, "parameters": "num_ctx                        16384\nseed 1"}
    upstream.reply("/api/show", json_reply(200, shown))
    upstream.reply("/api/chat", ollama_ndjson("Hello"))
    provider = await opened(num_ctx=None)
    for _ in range(2):
        await provider.send_message(ask(), context)
    assert [request.path for request in upstream.requests] == [
        "/api/show",
        "/api/chat",
        "/api/chat",
    ]
    assert {r.json["options"]["num_ctx"] for r in list(upstream.requests)[1:]} == {16384}
    assert await provider.context_window("llama3.2") == 16384


@pytest.mark.parametrize(
    ("trained_on", "asked_for"), [(131_072, 4096), (2048, 2048), (None, 4096), ("many", 4096)]
)
async def test_a_model_that_names_no_window_gets_a_modest_one(
    opened: Open, upstream: Upstream, trained_on: object, asked_for: int
) -> None:
    info = {"general.architecture": "llama", "llama.context_length": trained_on}
    upstream.reply("/api/show", json_reply(200, {"model_info": info}))
    provider = await opened(num_ctx=None)
    assert await provider.context_window("llama3.2") == asked_for


NOT_PASSED_ON = {
    "no such page": html_page(404, "Not Found"),
    "no such path": json_reply(404, {"error": "not found"}),
    "not allowed": json_reply(405, {"error": "method not allowed"}),
    "not understood": json_reply(400, {"error": "unknown route"}),
    "a page": html_page(200, "Welcome"),
    "other JSON": json_reply(200, [1]),
}


@pytest.mark.parametrize("reply", NOT_PASSED_ON.values(), ids=NOT_PASSED_ON.keys())
async def test_a_gateway_that_does_not_pass_the_question_on_is_asked_once(
    opened: Open, upstream: Upstream, context: ExecutionContext, ask: Ask, reply: ScriptedReply
) -> None:
    upstream.reply("/api/show", reply)
    upstream.reply("/api/chat", ollama_ndjson("Hello"))
    upstream.reply("/api/embed", ollama_embeddings())
    provider = await opened(num_ctx=None)
    for _ in range(2):
        await provider.send_message(ask(), context)
    await provider.embed(EmbeddingRequest(input=("a",), model="llama3.2"), context)
    assert await provider.context_window("llama3.2") == 4096
    assert paths(upstream) == ["/api/show", "/api/chat", "/api/chat", "/api/embed"]
    assert {r.json["options"]["num_ctx"] for r in list(upstream.requests)[1:]} == {4096}


async def test_that_a_gateway_does_not_pass_it_on_is_believed_for_each_model_and_for_a_time(
    opened: Open,
    upstream: Upstream,
    context: ExecutionContext,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upstream.reply("/api/show", html_page(404), json_reply(200, SHOWN))
    upstream.reply("/api/chat", ollama_ndjson("Hello"))
    provider = await opened(num_ctx=None)
    await provider.send_message(ask(), context)
    await provider.send_message(ask(model="other"), context)
    asked = ["/api/show", "/api/chat"]
    assert paths(upstream) == asked * 2
    monkeypatch.setattr(dovetail_ollama.server, "FRESH", 0.0)
    await provider.send_message(ask(), context)
    assert paths(upstream) == asked * 3


async def test_a_model_is_loaded_through_a_gateway_that_cannot_show_it(
    opened: Open, upstream: Upstream
) -> None:
    upstream.reply("/api/show", html_page(404))
    upstream.reply("/api/chat", json_reply(200, LOADED))
    await (await opened(num_ctx=None)).server.load("llama3.2")
    assert paths(upstream) == ["/api/show", "/api/chat"]


MET_ANYWHERE = {
    "key": (json_reply(401, {"error": "unauthorized"}), AuthenticationError),
    "not yours": (json_reply(403, {"error": "forbidden"}), AuthenticationError),
    "rate": (retry_later(429, 7), RateLimited),
    "busy": (json_reply(503, {"error": "server busy"}), ProviderUnavailable),
    "error with a good status": (json_reply(200, {"error": "it crashed"}), ProviderUnavailable),
    "broken": (cut_in_line(json_reply(200, SHOWN), 0, clean=False), StreamInterrupted),
    "no model": (not_found("llama3.2"), ModelNotFound),
}


@pytest.mark.parametrize(("reply", "kind"), MET_ANYWHERE.values(), ids=MET_ANYWHERE.keys())
async def test_what_the_chat_would_meet_too_is_its_error_and_is_not_believed_of_the_next(
    opened: Open,
    upstream: Upstream,
    context: ExecutionContext,
    ask: Ask,
    reply: ScriptedReply,
    kind: type[ProviderError],
) -> None:
    upstream.reply("/api/show", reply, json_reply(200, SHOWN))
    upstream.reply("/api/chat", ollama_ndjson("Hello"))
    provider = await opened(num_ctx=None)
    with pytest.raises(ProviderError) as caught:
        await provider.send_message(ask(), context)
    assert type(caught.value) is kind
    assert paths(upstream) == ["/api/show"]
    assert caught.value.details.retry_after == (7.0 if kind is RateLimited else None)
    assert ("set `num_ctx`" in str(caught.value)) is (kind is AuthenticationError)
    assert (await provider.send_message(ask(), context)).text == "Hello"
    assert paths(upstream) == ["/api/show", "/api/show", "/api/chat"]


@pytest.mark.parametrize("tries", [1, 2], ids=["plain", "resilience"])
async def test_a_question_that_failed_before_history_was_fitted_counts_as_the_first_attempt(
    upstream: Upstream, tries: int
) -> None:
    upstream.reply("/api/show", json_reply(503, {"error": "server busy"}))
    upstream.reply("/api/chat", ollama_ndjson("Hello"))
    resilience = {"use": "resilience", "attempts": tries, "first_wait": 0.01}
    config = {
        "chat": {"model": "known/llama3.2"},
        "providers": {
            "known": {"use": "ollama", "base_url": upstream.url, "num_ctx": 4096},
            "asking": {"use": "ollama", "base_url": upstream.url},
        },
        "middleware": [resilience] if tries > 1 else [],
    }
    async with Kernel.open(config, env={}) as kernel:
        await kernel.chat("Why?", session="s")
        with pytest.raises(ProviderUnavailable, match="server busy"):
            await kernel.chat("And then?", session="s", model="asking/llama3.2")
        assert paths(upstream) == ["/api/chat", *["/api/show"] * tries]
        upstream.reply("/api/show", json_reply(200, SHOWN))
        answer = await kernel.chat("And then?", session="s", model="asking/llama3.2")
    assert answer.text == "Hello"
    assert paths(upstream)[1 + tries :] == ["/api/show", "/api/chat"]


async def test_a_question_that_failed_some_time_ago_is_put_again(
    opened: Open,
    upstream: Upstream,
    context: ExecutionContext,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upstream.reply("/api/show", json_reply(503, {}), json_reply(200, SHOWN))
    upstream.reply("/api/chat", ollama_ndjson("Hello"))
    monkeypatch.setattr(dovetail_ollama.server, "PUT_OFF", 0.0)
    provider = await opened(num_ctx=None)
    assert await provider.context_window("llama3.2") is None
    assert (await provider.send_message(ask(), context)).text == "Hello"
