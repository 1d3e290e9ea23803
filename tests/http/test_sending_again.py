"""A request is sent again only if a pooled connection died before the first byte, and once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dovetail import ProviderError, ProviderUnavailable, StreamInterrupted
from dovetail.testing import (
    Gate,
    ScriptedReply,
    Upstream,
    Wait,
    close_before_headers,
    cut_between,
    dies_when_reused,
    openai_json,
    openai_sse,
    raw,
    reset_at_accept,
    reset_before_headers,
)
from tests.http.conftest import events_of

if TYPE_CHECKING:
    from dovetail import HttpClient, Reply

GOOD = openai_json("Hello")
DIES = [reset_before_headers(), close_before_headers()]


async def call(client: HttpClient, method: str) -> Reply:
    return await (client.get("/x") if method == "GET" else client.post("/x", {"a": 1}))


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("death", DIES)
async def test_a_pooled_connection_that_died_costs_one_more_request(
    death: ScriptedReply, method: str, client: HttpClient, upstream: Upstream
) -> None:
    upstream.script(GOOD, death, GOOD)
    await call(client, method)
    assert (await call(client, method)).status == 200
    assert [request.connection for request in upstream.requests] == [0, 0, 1]
    assert upstream.requests[1].body == upstream.requests[2].body


@pytest.mark.parametrize("death", DIES)
async def test_a_stream_is_asked_for_again_as_well(
    death: ScriptedReply, client: HttpClient, upstream: Upstream
) -> None:
    upstream.script(GOOD, death, openai_sse("one two"))
    await call(client, "POST")
    async with client.stream("/x", {}) as reply:
        assert len(await events_of(reply)) == 4
    assert [request.connection for request in upstream.requests] == [0, 0, 1]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_second_time_that_it_dies_is_an_error(
    method: str, client: HttpClient, upstream: Upstream
) -> None:
    upstream.script(GOOD, close_before_headers())
    await call(client, method)
    with pytest.raises(ProviderUnavailable, match="closed the connection") as caught:
        await call(client, method)
    assert caught.value.details.may_retry
    assert len(upstream.requests) == 3


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("death", [*DIES, reset_at_accept()])
async def test_a_new_connection_that_dies_is_an_error_at_once(
    death: ScriptedReply, method: str, client: HttpClient, upstream: Upstream
) -> None:
    upstream.script(death)
    with pytest.raises(ProviderUnavailable, match="closed the connection"):
        await call(client, method)
    assert upstream.connections == 1


@pytest.mark.parametrize("transport", ["aiohttp"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_restarted_server_is_reached_at_the_second_try(
    method: str, client: HttpClient, upstream: Upstream
) -> None:
    """Of many pooled connections all are dead: the second try makes a new one."""
    gate = Gate()
    together = dies_when_reused(replace(GOOD, before=(Wait(gate),)))
    upstream.script(together, together, together, GOOD)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(call(client, "POST"))
        await upstream.arrived(3)
        gate.open()
    assert (await call(client, method)).status == 200
    assert upstream.connections == 4
    assert len(upstream.requests) == 5


@pytest.mark.parametrize("transport", ["aiohttp"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("begun", [b"H", b"HTTP/1.1 200 O", b"HTTP/1.1 200 OK\r\ncontent-le"])
async def test_an_answer_that_began_is_never_asked_for_again(
    begun: bytes, method: str, client: HttpClient, upstream: Upstream
) -> None:
    upstream.script(GOOD, raw(begun))
    await call(client, method)
    with pytest.raises(ProviderError):
        await call(client, method)
    assert len(upstream.requests) == 2


async def test_nor_is_one_whose_body_broke_off(client: HttpClient, upstream: Upstream) -> None:
    upstream.script(GOOD, cut_between(openai_sse("one two"), 0, clean=False))
    await call(client, "POST")
    with pytest.raises(StreamInterrupted):
        async with client.stream("/x", {}) as reply:
            await events_of(reply)
    assert len(upstream.requests) == 2


async def test_nor_one_that_has_an_error(client: HttpClient, upstream: Upstream) -> None:
    upstream.script(GOOD, replace(GOOD, status=503))
    await call(client, "POST")
    with pytest.raises(ProviderUnavailable, match="503"):
        await call(client, "POST")
    assert len(upstream.requests) == 2
