"""aiohttp's client, set up to say what the rule about sending again needs to know.

Its hooks for that are not public; the tests in tests/http show when one of them has changed.
"""

from __future__ import annotations

import base64
import functools
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler

from dovetail.http.transport import attempt

if TYPE_CHECKING:
    import ssl

LONGEST_HEADER = 64 * 1024
"""Bytes of a header that is still read."""


def make_session(max_connections: int, context: ssl.SSLContext) -> aiohttp.ClientSession:
    """A session for the running loop; its owner closes it."""
    session = aiohttp.ClientSession(
        connector=_Connector(limit=max_connections, ssl=context),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        max_line_size=LONGEST_HEADER,
        max_field_size=LONGEST_HEADER,
    )
    # It would send a GET again by itself, on a connection that may be as dead.
    session._retry_connection = False  # noqa: SLF001 - no public name
    return session


def proxy_of(url: httpx.URL) -> httpx.Proxy:
    """A proxy whose user and password are a header already.

    httpx-aiohttp would hand them over in a way that aiohttp warns of; aiohttp makes
    `Proxy-Authorization` of this header.
    """
    if not url.userinfo:
        return httpx.Proxy(url)
    pair = base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
    plain = url.copy_with(username=None, password=None)
    return httpx.Proxy(plain, headers={"authorization": f"Basic {pair}"})


class _Handler(ResponseHandler):
    """Notes whether a byte came since the last request was sent."""

    received = False

    def data_received(self, data: bytes) -> None:
        self.received = True
        super().data_received(data)


class _Connector(aiohttp.TCPConnector):
    """Notes when a request makes a connection, and makes one when it is asked for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = functools.partial(_Handler, loop=self._loop)  # type: ignore[assignment]

    async def _get(self, *args: Any, **kwargs: Any) -> Any:
        this = attempt.get()
        if this.anew:
            return None
        connection = await super()._get(*args, **kwargs)
        peer = None if connection is None else connection.protocol
        if isinstance(peer, _Handler):
            peer.received = False
            this.peer = peer
        return connection

    async def _create_connection(self, *args: Any, **kwargs: Any) -> Any:
        attempt.get().fresh = True
        return await super()._create_connection(*args, **kwargs)
