"""The seam between providers and the network: an `httpx.AsyncBaseTransport`.

httpx's own pool looks at every connection for each request: at 32 calls at a time it makes a fifth
of the calls that aiohttp's makes behind the same interface, which is therefore the default. The
client calls the transport itself: `httpx.AsyncClient` would add cookies, redirects and hooks that a
provider does not need. The table is in docs/benchmarks.md.
"""

from __future__ import annotations

import functools
import ipaddress
import ssl
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol
from urllib.request import getproxies, proxy_bypass

import httpx

from dovetail.errors import PluginError

if TYPE_CHECKING:
    from dovetail.http.options import HttpOptions


class Peer(Protocol):
    """A pooled connection that notes what comes."""

    received: bool


class Attempt:
    """What is known of one sending of a request."""

    __slots__ = ("anew", "fresh", "peer")

    def __init__(self, *, anew: bool = False) -> None:
        self.anew = anew
        """It asks for a connection of its own."""
        self.fresh = False
        """It made one, rather than taking a pooled one."""
        self.peer: Peer | None = None
        """The pooled connection, where the transport tells of it."""

    @property
    def answered(self) -> bool:
        """Whether a byte came of the answer, as far as the transport tells."""
        return self.peer is not None and self.peer.received


attempt: ContextVar[Attempt] = ContextVar("dovetail_http_attempt")
"""The one that the running task makes; set by the client, noted in by the transport."""


def make_transport(options: HttpOptions, proxy: httpx.URL | None) -> httpx.AsyncBaseTransport:
    """The transport that `options` ask for; its owner closes it.

    Raises:
        PluginError: what it needs is not installed.
    """
    if options.http2 or options.transport == "httpx" or _is_socks(proxy):
        return _httpx_transport(options, proxy)
    return _aiohttp_transport(options, proxy)


@functools.lru_cache(maxsize=8)
def ssl_context(ca_file: str) -> ssl.SSLContext:
    """The certificates to trust; making a context takes 11 ms, so it is shared."""
    if ca_file:
        return ssl.create_default_context(cafile=ca_file)
    return httpx.create_ssl_context()


def proxy_for(options: HttpOptions, url: httpx.URL) -> httpx.URL | None:
    """The proxy for `url`: as configured, else as the environment says, never for this machine."""
    if options.proxy is not None:
        return httpx.URL(options.proxy.get_secret_value())
    if is_loopback(url.host) or proxy_bypass(url.netloc.decode("ascii")):
        return None
    proxies = getproxies()
    found = proxies.get(url.scheme) or proxies.get("all")
    # The environment may leave out the scheme, as curl allows.
    return httpx.URL(found if "://" in found else f"http://{found}") if found else None


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine."""
    if host.rstrip(".").lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_socks(proxy: httpx.URL | None) -> bool:
    return proxy is not None and proxy.scheme.startswith("socks")


def _httpx_transport(options: HttpOptions, proxy: httpx.URL | None) -> httpx.AsyncBaseTransport:
    try:
        if options.http2:
            import h2  # noqa: F401 - httpcore looks for it when it has connected
        return httpx.AsyncHTTPTransport(
            verify=ssl_context(options.ca_file),
            http2=options.http2,
            limits=httpx.Limits(
                max_connections=options.max_connections,
                max_keepalive_connections=options.max_connections,
            ),
            proxy=httpx.Proxy(proxy) if proxy is not None else None,
        )
    except ImportError as error:
        if _is_socks(proxy):
            message = "a SOCKS proxy needs another package: pip install 'httpx[socks]'"
        else:
            message = "`http2` needs another package: pip install 'dovetail[http]'"
        raise PluginError(message) from error


def _aiohttp_transport(options: HttpOptions, proxy: httpx.URL | None) -> httpx.AsyncBaseTransport:
    try:
        from httpx_aiohttp import AiohttpTransport

        from dovetail.http.aiohttp_session import make_session, proxy_of
    except ImportError as error:
        message = (
            f"`{error.name}` is not installed: pip install 'dovetail[http]', or set "
            '`transport = "httpx"` in this instance\'s `http` table'
        )
        raise PluginError(message) from error
    context = ssl_context(options.ca_file)
    return AiohttpTransport(
        verify=context,
        proxy=proxy_of(proxy) if proxy is not None else None,
        client=functools.partial(make_session, options.max_connections, context),
    )
