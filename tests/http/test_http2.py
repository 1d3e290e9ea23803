"""HTTP/2 where the server offers it."""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import TYPE_CHECKING

import pytest
import trustme

from dovetail import HttpClient, HttpOptions, PluginError
from dovetail.testing import Upstream, openai_json
from tests.http.conftest import events_of
from tests.http.h2_server import H2Server

if TYPE_CHECKING:
    from pathlib import Path

BODY = b'data: {"a":1}\n\ndata: [DONE]\n\n'


@pytest.fixture
def context(tmp_path: Path) -> ssl.SSLContext:
    """A server's context, whose authority is in `ca.pem`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(made)
    return made


def options(tmp_path: Path) -> HttpOptions:
    return HttpOptions.model_validate({"http2": True, "ca_file": str(tmp_path / "ca.pem")})


async def test_many_calls_share_one_connection(context: ssl.SSLContext, tmp_path: Path) -> None:
    async with H2Server(context, BODY) as server:
        client = HttpClient(server.url, options(tmp_path))
        assert (await client.post("/chat", {})).body == BODY
        async with asyncio.TaskGroup() as tasks:
            for _ in range(5):
                tasks.create_task(client.post("/chat", {}))
        async with client.stream("/chat", {}) as reply:
            assert await events_of(reply) == [b'{"a":1}', b"[DONE]"]
        await client.aclose()
    assert (server.streams, server.connections) == (7, 1)


async def test_a_connection_that_died_costs_one_more_request(
    context: ssl.SSLContext, tmp_path: Path
) -> None:
    async with H2Server(context, BODY, dies=True) as server:
        client = HttpClient(server.url, options(tmp_path))
        for _ in range(3):
            assert (await client.post("/chat", {})).body == BODY
        await client.aclose()
    assert server.connections == 3


async def test_a_server_without_it_is_spoken_to_in_http_1() -> None:
    async with Upstream() as upstream:
        upstream.script(openai_json())
        client = HttpClient(upstream.url, HttpOptions(http2=True))
        assert (await client.post("/chat", {})).status == 200
        await client.aclose()


@pytest.mark.parametrize(
    ("package", "table", "words"),
    [
        ("h2", {"http2": True}, "`http2` needs another package"),
        ("aiohttp", {}, r"`aiohttp` is not installed: pip install 'dovetail\[http\]', or set"),
        ("httpx_aiohttp", {}, "`httpx_aiohttp` is not installed"),
    ],
)
def test_a_package_that_is_missing_is_named(
    package: str, table: dict[str, object], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "dovetail.http.aiohttp_session", raising=False)
    with pytest.raises(PluginError, match=words):
        HttpClient("http://x", HttpOptions.model_validate(table))
