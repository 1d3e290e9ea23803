"""The ways to ask an upstream that dovetail is set beside, each as a step that asks once."""

from __future__ import annotations

import json
import os
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from tests.benchmarks.upstream import CHUNKS, TEXT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.benchmarks.harness import Step

MESSAGES = [{"role": "user", "content": "hi"}]
CONNECTIONS = 256
"""As many as dovetail has by default; httpx keeps only 20 by itself."""


@asynccontextmanager
async def transports(url: str) -> AsyncIterator[dict[str, Step]]:
    """Whole answers by what moves the bytes, and JSON to values; nothing more."""
    address, body = f"{url}/chat/completions", {"model": "whole", "messages": MESSAGES}
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session,
        over_aiohttp() as over,
        plain_httpx() as plain,
        AiohttpTransport() as bare,
    ):

        async def by_aiohttp(_: int) -> None:
            async with session.post(address, json=body) as reply:
                check(await reply.json())

        async def by_bare(_: int) -> None:
            request = httpx.Request("POST", address, json=body, extensions={"timeout": {}})
            reply = await bare.handle_async_request(request)
            check(json.loads(await reply.aread()))
            await reply.aclose()

        yield {
            "aiohttp": by_aiohttp,
            "httpx-aiohttp without httpx's client": by_bare,
            "httpx-aiohttp": _by_httpx(over, address, body),
            "httpx": _by_httpx(plain, address, body),
        }


@asynccontextmanager
async def libraries(url: str) -> AsyncIterator[dict[str, Step]]:
    """Whole answers by other libraries, each as it is set up by itself."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else importing it asks the network
    import litellm
    from openai import AsyncOpenAI
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(base_url=url, api_key="none")
    agent = Agent(OpenAIChatModel("whole", provider=provider))

    async with AsyncExitStack() as stack:
        sdk = await stack.enter_async_context(AsyncOpenAI(base_url=url, api_key="none"))
        stack.push_async_callback(provider.client.close)
        stack.push_async_callback(litellm.close_litellm_async_clients)

        async def by_sdk(_: int) -> None:
            answer = await sdk.chat.completions.create(model="whole", messages=MESSAGES)
            assert answer.choices[0].message.content == TEXT

        async def by_litellm(_: int) -> None:
            answer = await litellm.acompletion(
                model="openai/whole", messages=MESSAGES, api_base=url, api_key="none"
            )
            assert answer.choices[0].message.content == TEXT

        async def by_agent(_: int) -> None:
            assert (await agent.run("hi")).output == TEXT

        yield {"openai": by_sdk, "litellm": by_litellm, "pydantic-ai": by_agent}


@asynccontextmanager
async def streams(url: str, model: str, chunks: int = CHUNKS) -> AsyncIterator[dict[str, Step]]:
    """Streamed answers: bytes alone by the transport, chunks by the SDK."""
    from openai import AsyncOpenAI

    body = {"model": model, "messages": MESSAGES, "stream": True}
    async with over_aiohttp() as over, AsyncOpenAI(base_url=url, api_key="none") as sdk:

        async def by_transport(_: int) -> None:
            size = 0
            async with over.stream("POST", f"{url}/chat/completions", json=body) as reply:
                async for data in reply.aiter_raw():
                    size += len(data)
            assert size > chunks * 100

        async def by_sdk(_: int) -> None:
            stream = await sdk.chat.completions.create(model=model, messages=MESSAGES, stream=True)
            pieces = [c.choices[0].delta.content async for c in stream]
            assert sum(map(bool, pieces)) == chunks

        yield {"httpx-aiohttp": by_transport, "openai": by_sdk}


def over_aiohttp() -> httpx.AsyncClient:
    """httpx's client over dovetail's default transport."""
    return httpx.AsyncClient(
        transport=AiohttpTransport(
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        )
    )


def plain_httpx() -> httpx.AsyncClient:
    """httpx's client over its own transport."""
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    return httpx.AsyncClient(limits=limits)


def check(answer: Any) -> None:
    """It is the upstream's whole answer."""
    assert answer["choices"][0]["message"]["content"] == TEXT


def _by_httpx(client: httpx.AsyncClient, address: str, body: dict[str, Any]) -> Step:
    async def step(_: int) -> None:
        check((await client.post(address, json=body)).json())

    return step
