"""Which models there are, and having them loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import dovetail_ollama.server
from dovetail import (
    EmbeddingRequest,
    InvalidRequest,
    InvalidResponse,
    ModelNotFound,
    ProviderUnavailable,
)
from dovetail.testing import ScriptedReply, json_reply, ollama_embeddings
from plugins.ollama.tests.samples import (
    EMBEDDED,
    LOADED,
    RUNNING,
    SHOWN,
    TAGS,
    UNLOADED,
    not_found,
)

if TYPE_CHECKING:
    from dovetail import ExecutionContext
    from dovetail.testing import Upstream, UpstreamRequest
    from plugins.ollama.tests.conftest import Open


def shown(request: UpstreamRequest) -> ScriptedReply:
    model = request.json["model"]
    if model == "llama3:latest":
        return json_reply(500, {"error": "its file is broken"})
    capabilities = ["embedding"] if "embed" in model else ["completion"]
    return json_reply(200, {**SHOWN, "capabilities": capabilities})


async def test_models_are_listed_with_the_window_they_are_asked_for(
    opened: Open, upstream: Upstream
) -> None:
    upstream.reply("/api/tags", json_reply(200, TAGS))
    upstream.reply("/api/show", shown)
    code, llama = await (await opened(num_ctx=None)).models()
    assert (code.id, code.kind, code.context_window) == ("codellama:13b", "chat", 4096)
    assert code.description == "llama 13B Q4_0"
    assert (llama.id, llama.context_window, llama.description) == (
        "llama3:latest",
        None,
        "llama 7B",
    )
    code, _ = await (await opened(num_ctx=16_384)).models()
    assert code.context_window == 16_384


async def test_an_embedding_model_is_told_as_one(opened: Open, upstream: Upstream) -> None:
    upstream.reply("/api/tags", json_reply(200, {"models": [{"name": "embeddinggemma"}]}))
    upstream.reply("/api/show", shown)
    (model,) = await (await opened()).models()
    assert model.kind == "embedding"
    upstream.reply("/api/show", json_reply(200, {"details": {"family": "nomic-bert"}}))
    (model,) = await (await opened()).models()
    assert model.kind == "embedding"


async def test_many_models_are_not_all_asked(opened: Open, upstream: Upstream) -> None:
    names = [f"m{number}" for number in range(100)]
    upstream.reply("/api/tags", json_reply(200, {"models": [{"name": name} for name in names]}))
    upstream.reply("/api/show", json_reply(200, SHOWN))
    provider = await opened()
    assert [model.id for model in await provider.models()] == names
    asked = len(upstream.requests)
    assert asked == 65
    await provider.models()
    assert len(upstream.requests) == asked + 1  # the cards are still known


@pytest.mark.parametrize("answer", [{"models": None}, {}])
async def test_a_server_without_models_has_none(
    opened: Open, upstream: Upstream, answer: object
) -> None:
    upstream.reply("/api/tags", json_reply(200, answer))
    assert await (await opened()).models() == []


@pytest.mark.parametrize(
    "answer", [[], {"models": 5}, {"models": [{}]}, {"models": [{"name": "a", "size": "big"}]}]
)
async def test_a_list_that_ollama_would_not_give_is_refused(
    opened: Open, upstream: Upstream, answer: object
) -> None:
    upstream.reply("/api/tags", json_reply(200, answer))
    with pytest.raises(InvalidResponse, match="not how Ollama answers"):
        await (await opened()).models()


async def test_an_error_with_a_good_status_is_no_answer(opened: Open, upstream: Upstream) -> None:
    upstream.script(json_reply(200, {"error": "it crashed, said k-very-secret"}))
    server = (await opened(api_key="k-very-secret")).server
    asked = (server.tags, server.ps, lambda: server.load("m"), lambda: server.unload("m"))
    for ask in asked:
        with pytest.raises(ProviderUnavailable, match=r"it crashed, said \*\*\*"):
            await ask()


async def test_a_server_that_has_no_list_of_models_does_not_lack_one_of_them(
    opened: Open, upstream: Upstream
) -> None:
    upstream.reply("/api/tags", not_found("it"))
    with pytest.raises(ModelNotFound) as caught:
        await (await opened()).models()
    assert "pull" not in str(caught.value)


async def test_what_is_known_of_a_model_has_a_life_and_a_bound(
    opened: Open, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.reply("/api/show", json_reply(200, SHOWN))
    server = (await opened(num_ctx=None)).server
    monkeypatch.setattr(dovetail_ollama.server, "REMEMBERED", 2)
    for model in ("a", "b", "a", "c", "b", "a"):
        await server.num_ctx(model)
    asked = [request.json["model"] for request in upstream.requests]
    assert asked == ["a", "b", "c", "a"]
    monkeypatch.setattr(dovetail_ollama.server, "FRESH", 0.0)
    await server.num_ctx("a")
    assert len(upstream.requests) == 5


async def test_a_window_nobody_knows_is_none(opened: Open, upstream: Upstream) -> None:
    upstream.reply("/api/show", not_found("gone"))
    provider = await opened(num_ctx=None)
    assert await provider.context_window("gone") is None
    assert await (await opened(num_ctx=None, model="")).context_window("") is None
    assert await (await opened(num_ctx=512)).context_window("any") == 512


async def test_a_model_is_loaded_with_the_window_it_will_be_asked_with(
    opened: Open, upstream: Upstream
) -> None:
    upstream.reply("/api/show", json_reply(200, SHOWN))
    upstream.reply("/api/chat", json_reply(200, LOADED))
    server = (await opened(num_ctx=None, keep_alive="1h")).server
    await server.load("llama3.2")
    assert upstream.requests[-1].json == {
        "model": "llama3.2",
        "messages": [],
        "stream": False,
        "options": {"num_ctx": 4096},
        "keep_alive": 3600.0,
    }
    await server.load("llama3.2", keep_alive=-1)
    assert upstream.requests[-1].json["keep_alive"] == -1


async def test_an_embedding_model_is_loaded_by_an_embedding_of_nothing(
    opened: Open, upstream: Upstream
) -> None:
    upstream.reply("/api/show", shown)
    upstream.reply("/api/embed", json_reply(200, {"model": "m", "embeddings": []}))
    await (await opened()).server.load("embeddinggemma", 60)
    assert upstream.requests[-1].json == {
        "model": "embeddinggemma",
        "input": [],
        "options": {"num_ctx": 4096},
        "keep_alive": 60,
    }


async def test_a_model_is_unloaded_by_a_keep_alive_of_zero(
    opened: Open, upstream: Upstream
) -> None:
    upstream.reply("/api/chat", json_reply(200, UNLOADED))
    await (await opened()).server.unload("llama3.2")
    (request,) = upstream.requests
    assert request.json == {"model": "llama3.2", "messages": [], "stream": False, "keep_alive": 0}


async def test_what_runs_is_listed(opened: Open, upstream: Upstream) -> None:
    upstream.reply("/api/ps", json_reply(200, RUNNING))
    (model,) = await (await opened()).server.ps()
    assert (model.name, model.size_vram) == ("mistral:latest", 5137025024)
    assert model.expires_at is not None
    assert model.expires_at.year == 2124


async def test_a_model_is_deleted(opened: Open, upstream: Upstream, transport: str) -> None:
    upstream.reply("/api/delete", json_reply(200, {}), not_found("llama3.2"))
    server = (await opened(http={"transport": transport})).server
    await server.delete("llama3.2")
    request = upstream.requests[-1]
    assert (request.method, request.json) == ("DELETE", {"model": "llama3.2"})
    with pytest.raises(ModelNotFound):
        await server.delete("llama3.2")


async def test_texts_are_embedded_in_one_request(
    opened: Open, upstream: Upstream, context: ExecutionContext, transport: str
) -> None:
    upstream.reply("/api/embed", ollama_embeddings([[1, 0], [0, 1]], model="all-minilm"))
    provider = await opened(embedding_model="all-minilm", http={"transport": transport})
    response = await provider.embed(EmbeddingRequest(input=("a", "b")), context)
    assert response.embeddings == ((1.0, 0.0), (0.0, 1.0))
    assert response.usage is not None
    assert response.usage.total_tokens == 3
    assert upstream.requests[-1].json == {
        "model": "all-minilm",
        "input": ["a", "b"],
        "options": {"num_ctx": 4096},
    }


async def test_one_vector_too_few_is_refused(
    opened: Open, upstream: Upstream, context: ExecutionContext
) -> None:
    upstream.reply("/api/embed", json_reply(200, EMBEDDED))
    provider = await opened(embedding_model="all-minilm")
    with pytest.raises(InvalidResponse, match="1 vectors for 2 texts"):
        await provider.embed(EmbeddingRequest(input=("a", "b")), context)


async def test_dimensions_that_an_older_server_does_not_know_are_refused(
    opened: Open, upstream: Upstream, context: ExecutionContext
) -> None:
    upstream.reply("/api/embed", json_reply(200, EMBEDDED))
    provider = await opened(embedding_model="all-minilm")
    request = EmbeddingRequest(input=("a",), dimensions=2)
    with pytest.raises(InvalidRequest, match="gives vectors of 4 dimensions, not of 2"):
        await provider.embed(request, context)


async def test_no_embedding_model_says_where_to_name_one(
    opened: Open, context: ExecutionContext
) -> None:
    with pytest.raises(ModelNotFound, match="set `embedding_model` in this"):
        await (await opened()).embed(EmbeddingRequest(input=("a",)), context)
