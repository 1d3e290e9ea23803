"""https with certificates that are trusted, and clear words where they are not."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trustme

from dovetail import ProviderUnavailable, StreamInterrupted
from dovetail.http.transport import ssl_context
from dovetail.testing import Upstream, cut_between, openai_json, openai_sse, stall_after
from tests.http.conftest import events_of
from tests.http.tiny_proxy import TinyProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.http.conftest import MakeClient


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


@asynccontextmanager
async def talks_plain() -> AsyncIterator[str]:
    """Answers a TLS greeting in plain text, as a server for http does."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
async def safe(tidy: None, authority: trustme.CA) -> AsyncIterator[Upstream]:
    async with Upstream(tls=server_context(authority, "127.0.0.1", "model.test")) as server:
        server.script(openai_json("Hello"))
        yield server


async def test_an_authority_from_a_file_is_trusted(
    safe: Upstream, ca_file: str, make_client: MakeClient
) -> None:
    client = make_client(safe.url, ca_file=ca_file)
    assert (await client.post("/chat", {})).status == 200
    safe.script(openai_sse("one two"))
    async with client.stream("/chat", {}) as reply:
        assert len(await events_of(reply)) == 4
    assert safe.connections == 1


async def test_an_unknown_authority_is_not(safe: Upstream, make_client: MakeClient) -> None:
    with pytest.raises(
        ProviderUnavailable, match=r"certificate of https://127.*is not trusted: .*`ca_file`"
    ) as caught:
        await make_client(safe.url).post("/chat", {})
    assert not caught.value.details.may_retry
    assert not safe.requests


async def test_a_certificate_for_another_name_is_not_trusted(
    authority: trustme.CA, ca_file: str, make_client: MakeClient, tidy: None
) -> None:
    async with Upstream(tls=server_context(authority, "elsewhere.test")) as server:
        with pytest.raises(ProviderUnavailable, match=r"is not trusted: .*not valid for '127"):
            await make_client(server.url, ca_file=ca_file).post("/chat", {})


async def test_a_server_without_tls_is_told_from_one_with_a_bad_certificate(
    make_client: MakeClient,
) -> None:
    async with talks_plain() as url:
        with pytest.raises(ProviderUnavailable, match=r"should `base_url` begin with http://\?"):
            await make_client(url).get("/models")


async def test_a_stream_that_is_cut_is_noticed_under_tls_too(
    safe: Upstream, ca_file: str, make_client: MakeClient
) -> None:
    safe.script(cut_between(openai_sse("one two"), 1, clean=False))
    with pytest.raises(StreamInterrupted):
        async with make_client(safe.url, ca_file=ca_file).stream("/chat", {}) as reply:
            await events_of(reply)


async def test_leaving_early_closes_the_socket_under_tls_too(
    safe: Upstream, ca_file: str, make_client: MakeClient
) -> None:
    safe.script(stall_after(openai_sse("one two"), 1))
    async with make_client(safe.url, ca_file=ca_file).stream("/chat", {}) as reply:
        await anext(reply.chunks())
    async with asyncio.timeout(0.1):
        await safe.requests[0].disconnected.wait()


async def test_a_tunnel_through_a_proxy(
    safe: Upstream, ca_file: str, make_client: MakeClient
) -> None:
    async with TinyProxy() as proxy:
        url = safe.url.replace("127.0.0.1", "model.test")
        client = make_client(url, {"api-key": "secret"}, ca_file=ca_file, proxy=proxy.url)
        assert (await client.post("/chat", {})).status == 200
        await client.aclose()
    assert proxy.heads[0].startswith("CONNECT model.test:")
    assert "secret" not in proxy.heads[0]


def test_making_a_context_is_slow_so_there_is_one(ca_file: str) -> None:
    assert ssl_context("") is ssl_context("")
    assert ssl_context(ca_file) is ssl_context(ca_file)
    assert ssl_context("") is not ssl_context(ca_file)
