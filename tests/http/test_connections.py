"""Connections are reused where they can be, closed where they cannot, and never too many."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from dovetail import HttpClient, HttpOptions, ProviderError
from dovetail.testing import (
    Gate,
    Upstream,
    Wait,
    event_stream,
    openai_json,
    openai_sse,
    retry_later,
    stall_after,
)
from tests.http.conftest import events_of
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.http.conftest import MakeClient

EVENT = b"data: {}\n\n"


async def test_calls_one_after_the_other_share_a_connection(
    client: HttpClient, upstream: Upstream
) -> None:
    upstream.script(openai_json())
    for _ in range(5):
        await client.post("/chat", {})
    assert upstream.connections == 1


async def test_a_stream_read_to_its_end_gives_its_connection_back(
    client: HttpClient, upstream: Upstream
) -> None:
    upstream.script(openai_sse("one two"))
    for _ in range(5):
        async with client.stream("/chat", {}) as reply:
            await events_of(reply)
    assert upstream.connections == 1


async def test_an_error_gives_its_connection_back(client: HttpClient, upstream: Upstream) -> None:
    upstream.script(retry_later())
    for _ in range(3):
        with pytest.raises(ProviderError):
            await client.post("/chat", {})
    assert upstream.connections == 1


@pytest.mark.parametrize("read", [0, 1, 2])
async def test_leaving_a_stream_early_closes_its_socket_within_100_ms(
    read: int, client: HttpClient, upstream: Upstream
) -> None:
    upstream.script(stall_after(openai_sse("one two three"), 2))
    async with client.stream("/chat", {}) as reply, aclosing(reply.chunks()) as pieces:
        for _ in range(read):
            await anext(pieces)
    async with asyncio.timeout(0.1):
        await upstream.requests[0].disconnected.wait()


async def test_so_does_an_error_in_the_reader(client: HttpClient, upstream: Upstream) -> None:
    upstream.script(stall_after(openai_sse("one two three"), 2))
    with pytest.raises(ZeroDivisionError):
        async with client.stream("/chat", {}) as reply:
            async for _ in reply.chunks():
                raise ZeroDivisionError
    async with asyncio.timeout(0.1):
        await upstream.requests[0].disconnected.wait()


async def test_so_does_cancelling_the_reader(client: HttpClient, upstream: Upstream) -> None:
    upstream.script(stall_after(openai_sse("one two three"), 2))
    reading = asyncio.Event()

    async def read() -> None:
        async with client.stream("/chat", {}) as reply:
            async for _ in reply.chunks():
                reading.set()

    task = asyncio.create_task(read())
    await reading.wait()
    task.cancel()
    async with asyncio.timeout(0.1):
        await upstream.requests[0].disconnected.wait()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_no_more_connections_than_allowed(
    upstream: Upstream, make_client: MakeClient
) -> None:
    gate = Gate()
    upstream.script(event_stream(EVENT, Wait(gate)))
    client = make_client(max_connections=2)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(6):
            tasks.create_task(client.post("/chat", {}))
        await upstream.arrived(2)
        assert upstream.connections == 2
        gate.open()
    assert upstream.connections == 2
    assert len(upstream.requests) == 6


async def test_closing_the_client_closes_every_connection(
    upstream: Upstream, make_client: MakeClient
) -> None:
    upstream.script(openai_json())
    client = make_client()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(client.post("/chat", {}))
    await client.aclose()
    await eventually(lambda: upstream.open == 0)


def test_one_client_for_each_of_two_event_loops(transport: str) -> None:
    async def once() -> int:
        async with Upstream() as upstream:
            upstream.script(openai_json())
            client = HttpClient(upstream.url, HttpOptions.model_validate({"transport": transport}))
            await client.post("/chat", {})
            status = (await client.post("/chat", {})).status
            await client.aclose()
            return status

    assert [asyncio.run(once()) for _ in range(2)] == [200, 200]


async def test_what_is_sent(client: HttpClient, upstream: Upstream) -> None:
    upstream.script(openai_json())
    await client.post("/v1/chat?a=b", {"text": "grüß\u2028dich"})
    request = upstream.requests[0]
    assert (request.method, request.path, request.query) == ("POST", "/v1/chat", "a=b")
    assert request.json == {"text": "grüß\u2028dich"}
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"] == "dovetail"
    assert "cookie" not in request.headers


async def test_a_method_of_its_own(client: HttpClient, upstream: Upstream) -> None:
    upstream.script(openai_json())
    await client.post("/api/delete", {"model": "m"}, method="DELETE")
    assert upstream.requests[0].method == "DELETE"
    assert upstream.requests[0].json == {"model": "m"}


async def test_cookies_are_not_kept(client: HttpClient, upstream: Upstream) -> None:
    upstream.script(openai_json(headers={"set-cookie": "who=you"}))
    await client.get("/models")
    await client.get("/models")
    assert "cookie" not in upstream.requests[1].headers
