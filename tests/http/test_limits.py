"""Four limits, each of its own step: connect, first byte, between two pieces, total."""

from __future__ import annotations

import asyncio
import math
import socket
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest

from dovetail import HttpClient, HttpOptions, ProviderTimeout, ProviderUnavailable
from dovetail.testing import (
    Gate,
    Pause,
    Repeat,
    ScriptedReply,
    Upstream,
    Wait,
    comments_only,
    drip,
    event_stream,
    openai_json,
    openai_sse,
    stall_after,
    stall_before_body,
    stall_before_headers,
)
from dovetail.testing.leaks import within
from tests.http.conftest import events_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.http.conftest import MakeClient

STREAM = openai_sse("one two three")
EVENT = b"data: {}\n\n"


@pytest.fixture
def full_port() -> Iterator[str]:
    """A URL where connecting waits: the queue of connections nobody accepts is full."""
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        for client in waiting:
            client.close()


async def test_connecting_has_a_limit(full_port: str, make_client: MakeClient) -> None:
    client = make_client(full_port, connect=0.2)
    with pytest.raises(ProviderTimeout, match=r"no connection to http://127.*`http\.connect`"):
        await client.get("/models")


async def test_a_server_that_never_shakes_hands_is_a_connection_too_slow(
    upstream: Upstream, make_client: MakeClient
) -> None:
    client = make_client(upstream.url.replace("http:", "https:"), connect=0.2)
    with pytest.raises(ProviderTimeout, match="no connection to https://"):
        await client.get("/models")


@pytest.mark.parametrize("fault", [stall_before_headers(), stall_before_body(STREAM)])
async def test_the_first_byte_has_a_limit(
    fault: ScriptedReply, upstream: Upstream, make_client: MakeClient
) -> None:
    upstream.script(fault)
    with pytest.raises(ProviderTimeout, match=r"did not begin within 0\.2 s; raise `first_byte`"):
        async with make_client(first_byte=0.2, between=60).stream("/chat", {}) as reply:
            await events_of(reply)
    await upstream.requests[0].disconnected.wait()


async def test_head_and_first_byte_share_one_limit(
    upstream: Upstream, make_client: MakeClient
) -> None:
    slow = replace(stall_before_body(STREAM), before=(Pause(1.0),))
    upstream.script(slow)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(ProviderTimeout, match="did not begin"):
        async with make_client(first_byte=1.5).stream("/chat", {}) as reply:
            await events_of(reply)
    assert loop.time() - begun < 2.4  # with a limit for each: 2.5


@pytest.mark.parametrize("fault", [stall_after(STREAM, 1), comments_only(STREAM, 1, every=0.01)])
async def test_the_time_between_two_pieces_has_a_limit(
    fault: ScriptedReply, upstream: Upstream, make_client: MakeClient
) -> None:
    upstream.script(fault)
    with pytest.raises(ProviderTimeout, match=r"stood still within 0\.2 s; raise `between`"):
        async with make_client(first_byte=60, between=0.2).stream("/chat", {}) as reply:
            await events_of(reply)
    await upstream.requests[0].disconnected.wait()


async def test_a_whole_answer_that_stands_still_passes_the_limit_between_pieces(
    upstream: Upstream, make_client: MakeClient
) -> None:
    half = openai_json("Hello").steps[0]
    assert isinstance(half, bytes)
    upstream.script(event_stream(half[:20], Pause(math.inf)))
    with pytest.raises(ProviderTimeout, match="stood still"):
        await make_client(first_byte=60, between=0.2).post("/chat", {})


@pytest.mark.parametrize("method", ["whole", "stream"])
async def test_the_words_of_an_error_are_not_waited_for_as_long_as_some_come(
    upstream: Upstream, make_client: MakeClient, method: str
) -> None:
    endless = event_stream(Repeat((b": wait\n\n", Pause(0.01))))
    upstream.script(replace(endless, status=503))
    client = make_client(first_byte=60, between=0.2)
    async with within(10, "it ends"):
        with pytest.raises(ProviderUnavailable, match="answered 503") as caught:
            if method == "whole":
                await client.post("/chat", {})
            async with client.stream("/chat", {}):
                pass
        assert caught.value.details.may_retry
        await upstream.requests[0].disconnected.wait()


async def test_the_total_has_a_limit_however_lively_the_stream(
    upstream: Upstream, make_client: MakeClient
) -> None:
    upstream.script(event_stream(Repeat((EVENT, Pause(0.01)))))
    with pytest.raises(
        ProviderTimeout, match=r"not complete within 0\.3 s; raise `total`"
    ) as caught:
        async with make_client(total=0.3).stream("/chat", {}) as reply:
            await events_of(reply)
    assert not caught.value.details.may_retry
    await upstream.requests[0].disconnected.wait()


async def test_pieces_that_keep_coming_pass_no_limit(
    upstream: Upstream, make_client: MakeClient
) -> None:
    """The stream takes longer than each limit allows."""
    upstream.script(event_stream(*(EVENT, Pause(0.1)) * 12))
    async with make_client(first_byte=1, between=1).stream("/chat", {}) as reply:
        assert len(await events_of(reply)) == 12


async def test_a_piece_that_comes_in_many_bytes_is_progress_when_it_is_whole(
    upstream: Upstream, make_client: MakeClient
) -> None:
    upstream.script(drip(event_stream(EVENT * 20), size=10, every=0.03))
    async with make_client(first_byte=5, between=1).stream("/chat", {}) as reply:
        assert len(await events_of(reply)) == 20


async def test_a_slow_reader_is_not_taken_for_a_slow_server(
    upstream: Upstream, make_client: MakeClient
) -> None:
    upstream.script(openai_sse(*["x" * 100_000] * 50))
    seen = 0
    async with make_client(first_byte=1, between=1).stream("/chat", {}) as reply:
        async for data in reply.chunks():
            if not seen:
                await asyncio.sleep(1.3)
            seen += len(data)
            reply.progress()
    assert seen > 5_000_000


async def test_waiting_for_a_place_counts_as_waiting_for_the_first_byte(
    upstream: Upstream, make_client: MakeClient
) -> None:
    gate = Gate()
    upstream.reply("/long", event_stream(EVENT, Wait(gate)))
    upstream.reply("/short", openai_json())
    client = make_client(max_connections=1, first_byte=1)
    async with client.stream("/long", {}) as reply:
        with pytest.raises(ProviderTimeout, match="did not begin"):
            await client.post("/short", {})
        gate.open()
        await events_of(reply)
    assert (await client.post("/short", {})).status == 200


async def test_being_cancelled_is_no_error_of_the_server(
    upstream: Upstream, make_client: MakeClient
) -> None:
    upstream.script(stall_before_headers())
    call = asyncio.create_task(make_client().post("/chat", {}))
    request = await upstream.arrived()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await request.disconnected.wait()


async def test_a_limit_leaves_nothing_behind_in_the_task(
    upstream: Upstream, make_client: MakeClient
) -> None:
    """It works by cancelling; a cancel that stayed would end whatever the task does next."""
    upstream.script(stall_before_headers())
    client = make_client(first_byte=0.05)
    async with asyncio.timeout(5):
        for _ in range(3):
            with pytest.raises(ProviderTimeout):
                await client.post("/chat", {})
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


class Stubborn(httpx.AsyncBaseTransport):
    """Turns being cancelled into an error of its own, as some libraries do."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            message = "the request was broken off"
            raise httpx.ReadError(message) from None
        raise AssertionError


async def test_nor_does_it_if_the_transport_hides_the_cancel() -> None:
    client = HttpClient("http://x", HttpOptions(first_byte=0.05), transport=Stubborn())
    with pytest.raises(ProviderUnavailable):
        await client.post("/chat", {})
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
