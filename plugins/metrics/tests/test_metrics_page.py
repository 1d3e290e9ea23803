"""The page over HTTP, to good clients and bad ones."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics import parser as openmetrics

from dovetail import Kernel, NotReady, StartError
from dovetail_metrics import MetricsProvider, MetricsSettings, PrometheusClient, server
from plugins.metrics.tests.conftest import Open
from plugins.metrics.tests.pages import Page, get, page_of, provider_of

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.9,text/plain;q=0.5"


@pytest.fixture
async def provider() -> AsyncIterator[MetricsProvider]:
    """One that is served at a free port."""
    provider = MetricsProvider(settings=MetricsSettings(port=0))
    await provider.start()
    await provider.handle_event("tool_execute", {"tool": "search", "duration": 1.5})
    yield provider
    await provider.stop()


def port_of(provider: MetricsProvider) -> int:
    return int(provider.url.rpartition(":")[2].partition("/")[0])


async def talk(provider: MetricsProvider, *pieces: bytes) -> bytes:
    """What a client gets that sends this and waits for the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(provider))
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_it_is_served_at_metrics(provider: MetricsProvider) -> None:
    response = await get(provider.url)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.content == provider.page()[0]
    assert Page.of(response.text)("gen_ai_execute_tool_duration_seconds_sum") == 1.5
    assert (await get(provider.url + "?name=x")).status_code == 200


async def test_openmetrics_is_spoken_to_who_asks_for_it(provider: MetricsProvider) -> None:
    response = await get(provider.url, accept=OPENMETRICS)
    assert response.headers["content-type"].startswith("application/openmetrics-text; version=1.0")
    parse: Any = openmetrics.text_string_to_metric_families
    names = {family.name for family in parse(response.text)}
    assert "gen_ai_execute_tool_duration_seconds" in names


@pytest.mark.parametrize("accept", ["application/openmetrics-text;version=new", ";;,=", "\x80"])
async def test_an_odd_accept_header_gets_the_page_nevertheless(
    provider: MetricsProvider, accept: str
) -> None:
    request = f"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n".encode("latin-1")
    assert (await talk(provider, request)).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_head_has_the_head_alone(provider: MetricsProvider) -> None:
    response = await get(provider.url, "HEAD")
    assert response.status_code == 200
    assert response.content == b""
    assert int(response.headers["content-length"]) == len(provider.page()[0])


async def test_anything_else_is_refused(provider: MetricsProvider) -> None:
    elsewhere = await get(provider.url.removesuffix("metrics"))
    assert (elsewhere.status_code, elsewhere.text) == (404, "the page is at /metrics\n")
    posted = await get(provider.url, "POST")
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\r\n\r\n", b"400"),
        (b"GET /metrics\r\n\r\n", b"400"),
        (b"GET /metrics HTTP/2.0\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\xff\xfe \r\n\r\n", b"400"),
        (b"GET /metrics HTTP/1.0\r\n\r\n", b"200"),
        (b"GET /metrics HTTP/1.1\r\nno colon\r\n\r\n", b"200"),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", b"431"),
    ],
)
async def test_what_is_no_request_gets_an_answer_too(
    provider: MetricsProvider, request_bytes: bytes, status: bytes
) -> None:
    assert (await talk(provider, request_bytes)).split(b" ")[1] == status


async def test_a_request_may_come_byte_by_byte(provider: MetricsProvider) -> None:
    request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await talk(provider, *(request[i : i + 1] for i in range(len(request))))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_who_dawdles_is_cut_off(
    provider: MetricsProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_SECONDS", 0.05)
    assert await talk(provider, b"GET /met") == b""
    assert (await get(provider.url)).status_code == 200


async def test_who_goes_away_harms_nobody(provider: MetricsProvider) -> None:
    for sent in (b"", b"GET /met", b"GET /metrics HTTP/1.1\r\n\r\n"):
        _, writer = await asyncio.open_connection("127.0.0.1", port_of(provider))
        writer.write(sent)
        await writer.drain()
        writer.transport.abort()
    assert (await get(provider.url)).status_code == 200


async def test_too_many_at_once_are_turned_away(provider: MetricsProvider) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", port_of(provider)) for _ in range(40)]
    answers = [reader for reader, _ in idle[server.MOST_CONNECTIONS :]]
    async with asyncio.timeout(20):
        for reader in answers:
            assert (await reader.read()).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    for _, writer in idle:
        writer.close()
        await writer.wait_closed()


async def test_many_may_fetch_it_side_by_side(provider: MetricsProvider) -> None:
    responses = await asyncio.gather(*(get(provider.url) for _ in range(20)))
    assert {response.status_code for response in responses} == {200}
    assert len({response.content for response in responses}) == 1


async def test_stopping_ends_what_is_open(provider: MetricsProvider) -> None:
    port = port_of(provider)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /met")
    await writer.drain()
    assert (await get(provider.url)).status_code == 200  # by now the other one is waited for
    async with asyncio.timeout(5):
        await provider.stop()
        assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_page_that_cannot_be_made_is_an_error_and_no_end() -> None:
    class Broken:
        def collect(self) -> list[object]:
            raise RuntimeError("broken")

    registry = CollectorRegistry()
    provider = MetricsProvider(PrometheusClient(registry), MetricsSettings(port=0))
    await provider.start()
    assert (await get(provider.url)).status_code == 200
    broken = Broken()
    registry.register(broken)  # type: ignore[arg-type]
    assert (await get(provider.url)).status_code == 500
    registry.unregister(broken)  # type: ignore[arg-type]
    assert (await get(provider.url)).status_code == 200
    await provider.stop()


async def test_a_port_in_use_is_an_error_that_says_which(open_kernel: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        kernel = open_kernel(port=port)
        with pytest.raises(StartError) as caught:
            await kernel.start()
        await kernel.close()
    words = str(caught.value)
    assert f"http://127.0.0.1:{port}/metrics: address already in use" in words
    assert "choose another `port` or `host`" in words


async def test_an_optional_one_waits_for_its_port(open_kernel: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        kernel: Kernel = open_kernel(port=port, optional=True)
        async with kernel:
            assert [type(failure.cause) for failure in kernel.quarantined] == [NotReady]
            assert (await kernel.chat("hello")).text == "hello"


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("192.0.2.1", "cannot assign requested address"),
        ("fe80::1%nowhere", "there is no such host"),
        ("a..b", "there is no such host"),
    ],
)
async def test_an_address_that_is_not_ours_is_an_error_that_says_so(host: str, why: str) -> None:
    provider = MetricsProvider(settings=MetricsSettings(port=0, host=host))
    with pytest.raises(NotReady) as caught:
        await provider.start()
    shown = f"[{host}]" if ":" in host else host
    assert f"cannot be served at http://{shown}:0/metrics: {why}" in str(caught.value)
    await provider.stop()


async def test_nothing_listens_without_a_port(open_kernel: Open) -> None:
    async with open_kernel(port=None) as kernel:
        await kernel.chat("hello")
        provider = provider_of(kernel)
        assert provider.url == ""
        assert provider.metrics["call_duration"]


async def test_turns_go_on_while_a_long_page_is_made(open_kernel: Open) -> None:
    async with open_kernel(max_label_values=200) as kernel:
        provider = provider_of(kernel)
        for number in range(200):
            tool = {"tool": f"tool-{number}", "seconds": 1.0}
            await provider.handle_event("tool_execute", tool)
        turns, pages = 0, 5
        for _ in range(pages):
            fetching = asyncio.create_task(page_of(kernel))
            while not fetching.done():
                await kernel.chat("hello")
                turns += 1
            await fetching
        page = await page_of(kernel)
    assert turns > pages
    assert page("gen_ai_execute_tool_duration_seconds_count") == 200
