"""Vectors, and lists of models."""

from __future__ import annotations

import base64
from array import array
from typing import TYPE_CHECKING

import pytest

from dovetail import (
    AuthenticationError,
    EmbeddingRequest,
    EmbeddingResponse,
    ExecutionContext,
    InvalidRequest,
    InvalidResponse,
    ModelNotFound,
    ProviderUnavailable,
)
from dovetail.testing import (
    html_page,
    json_reply,
    openai_embeddings,
    openai_error,
    openai_models,
)
from plugins.openai.tests.conftest import ask

if TYPE_CHECKING:
    from dovetail.testing import ScriptedReply, Upstream, UpstreamRequest
    from dovetail_openai import OpenAI
    from plugins.openai.tests.conftest import Open


async def embed(provider: OpenAI, *texts: str, **fields: object) -> EmbeddingResponse:
    request = EmbeddingRequest.model_validate({"input": texts, **fields})
    return await provider.embed(request, ExecutionContext())


async def test_vectors_come_in_the_order_of_the_texts(upstream: Upstream, provider: OpenAI) -> None:
    data = [{"index": 1, "embedding": [3, 4]}, {"index": 0, "embedding": [1.5, 2]}]
    usage = {"prompt_tokens": 0, "total_tokens": 0}
    upstream.reply("/embeddings", json_reply(200, {"data": data, "model": "e", "usage": usage}))
    response = await embed(provider, "a", "b", model="e", dimensions=2, extras={"user": "u"})
    assert response.embeddings == ((1.5, 2.0), (3.0, 4.0))
    assert response.model == "e"
    assert response.usage is not None
    assert response.usage.prompt_tokens == 0
    assert upstream.requests[0].json == {
        "model": "e",
        "input": ["a", "b"],
        "dimensions": 2,
        "user": "u",
    }


async def test_many_texts_are_sent_in_batches(upstream: Upstream, opened: Open) -> None:
    def answer(request: UpstreamRequest) -> ScriptedReply:
        return openai_embeddings([(float(text),) for text in request.json["input"]], tokens=2)

    provider = await opened(embedding_batch=2)
    upstream.reply("/embeddings", answer)
    response = await embed(provider, "1", "2", "3", "4", "5")
    assert [vector[0] for vector in response.embeddings] == [1, 2, 3, 4, 5]
    assert len(upstream.requests) == 3
    assert response.usage is not None
    assert response.usage.total_tokens == 6


async def test_vectors_in_base64_are_read(upstream: Upstream, provider: OpenAI) -> None:
    packed = base64.b64encode(array("f", [0.5, -2]).tobytes()).decode()
    upstream.reply("/embeddings", json_reply(200, {"data": [{"embedding": packed}]}))
    assert (await embed(provider, "a")).embeddings == ((0.5, -2.0),)


async def test_the_model_for_embeddings_has_a_setting(upstream: Upstream, opened: Open) -> None:
    provider = await opened(model="m", embedding_model="e")
    upstream.reply("/embeddings", openai_embeddings())
    await embed(provider, "a")
    assert upstream.requests[0].json["model"] == "e"


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"data": {}},
        {"data": [1, 2]},
        {"data": [{"embedding": [1]}]},
        {"data": [{"embedding": []}, {"embedding": []}]},
        {"data": [{"embedding": [1]}, {"embedding": [1, 2]}]},
        {"data": [{"embedding": ["a"]}, {"embedding": [None]}]},
        {"data": [{"embedding": "?"}, {"embedding": "?"}]},
        {"data": [{"embedding": [float("nan")]}, {"embedding": [1]}]},
        {"data": [{"embedding": [10**400]}, {"embedding": [1]}]},
        {"data": [{}, {}]},
        [],
    ],
)
async def test_what_is_no_vector_for_each_text_cannot_be_understood(
    upstream: Upstream, provider: OpenAI, value: object
) -> None:
    upstream.reply("/embeddings", json_reply(200, value))
    with pytest.raises(InvalidResponse):
        await embed(provider, "a", "b")


async def test_other_dimensions_than_asked_for_are_refused(
    upstream: Upstream, provider: OpenAI
) -> None:
    upstream.reply("/embeddings", openai_embeddings(((1.0, 2.0),)))
    with pytest.raises(InvalidRequest, match="of 2 dimensions, not of 1"):
        await embed(provider, "a", dimensions=1)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (openai_error(404, "The model `e` does not exist"), ModelNotFound),
        (openai_error(401, "no"), AuthenticationError),
        (json_reply(200, {"error": "crashed"}), ProviderUnavailable),
        (html_page(200), InvalidResponse),
    ],
)
async def test_what_goes_wrong_with_embeddings_has_its_class(
    upstream: Upstream, provider: OpenAI, reply: ScriptedReply, expected: type[Exception]
) -> None:
    upstream.reply("/embeddings", reply)
    with pytest.raises(expected):
        await embed(provider, "a")


async def test_models_are_listed_with_what_the_server_says_of_them(
    upstream: Upstream, provider: OpenAI
) -> None:
    listed = [
        {"id": "gpt", "owned_by": "openai"},
        {"id": "gpt"},
        {"id": "org/big:free", "name": "Big", "context_length": 131072},
        {"id": "text-embedding-3-small"},
        {"id": "nomic", "type": "embeddings", "max_context_length": 2048},
        {"id": "llama", "meta": {"n_ctx_train": 8192}},
        {"object": "nameless"},
    ]
    upstream.reply("/models", json_reply(200, {"data": listed}))
    assert [(m.id, m.kind, m.context_window, m.description) for m in await provider.models()] == [
        ("gpt", "chat", None, "openai"),
        ("org/big:free", "chat", 131072, "Big"),
        ("text-embedding-3-small", "embedding", None, ""),
        ("nomic", "embedding", 2048, ""),
        ("llama", "chat", 8192, ""),
    ]


@pytest.mark.parametrize("value", [["a", "b"], [{"id": "a"}, {"id": "b"}], {"models": ["a", "b"]}])
async def test_models_may_be_listed_in_other_shapes(
    upstream: Upstream, provider: OpenAI, value: object
) -> None:
    upstream.reply("/models", json_reply(200, value))
    assert [info.id for info in await provider.models()] == ["a", "b"]


@pytest.mark.parametrize(
    "reply",
    [openai_error(404, "no such path"), html_page(200), json_reply(200, {}), openai_models()],
)
async def test_the_settings_models_are_listed_where_the_server_lists_none(
    upstream: Upstream, opened: Open, reply: ScriptedReply
) -> None:
    provider = await opened(model="m", models=("n", "m"))
    upstream.reply("/models", reply)
    assert [info.id for info in await provider.models()] == ["n", "m"]


async def test_azures_list_is_not_asked_for(upstream: Upstream, opened: Open) -> None:
    provider = await opened(base_url=upstream.url, api="azure", models=("deployment",))
    assert [info.id for info in await provider.models()] == ["deployment", "scripted"]
    assert not upstream.requests


async def test_models_that_cannot_be_listed_now_are_an_error(
    upstream: Upstream, provider: OpenAI
) -> None:
    upstream.reply("/models", openai_error(503, "busy"))
    with pytest.raises(ProviderUnavailable):
        await provider.models()


async def test_a_request_that_names_no_model_says_where_to(opened: Open) -> None:
    provider = await opened(model="")
    with pytest.raises(ModelNotFound, match="set `model`"):
        await provider.send_message(ask(), ExecutionContext())
    with pytest.raises(ModelNotFound, match="set `model`"):
        await embed(provider, "a")
