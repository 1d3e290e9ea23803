"""Serving one page over HTTP/1.1: just as much of it as Prometheus and a person with curl need."""

import asyncio
import os
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeAlias

import structlog

from dovetail import NotReady

log = structlog.get_logger("dovetail.metrics")

Page: TypeAlias = Callable[[str], tuple[bytes, str]]

PATH = "/metrics"
MOST_BYTES = 16_384
"""How long a request may be."""
MOST_SECONDS = 10.0
"""How long a connection may take from its beginning to its end."""
MOST_CONNECTIONS = 32
PLAIN = "text/plain; charset=utf-8"


class PageServer:
    """Serves `page`, which is given a request's Accept header and gives a body and its type."""

    def __init__(self, host: str, port: int, page: Page) -> None:
        self.url = ""
        """Where it is served, once it is."""
        self._host = host
        self._port = port
        self._page = page
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._making = asyncio.Lock()

    async def start(self) -> None:
        """Listen.

        Raises:
            NotReady: it cannot listen there.
        """
        where = _url(self._host, self._port)
        try:
            self._server = await asyncio.start_server(
                self._connected, self._host, self._port, limit=MOST_BYTES
            )
        except (OSError, UnicodeError) as error:
            raise NotReady(
                f"the page of metrics cannot be served at {where}: {_why(error)}; choose another "
                "`port` or `host`, or stop what listens there"
            ) from error
        self.url = _url(self._host, self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more, and end what is being answered."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker
        self._connections.add(task)
        try:
            async with asyncio.timeout(MOST_SECONDS):
                writer.write(await self._reply(reader))
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # it went away, or is too slow: nobody is there to be told
        finally:
            writer.transport.abort()
            self._connections.discard(task)

    async def _reply(self, reader: asyncio.StreamReader) -> bytes:
        if len(self._connections) > MOST_CONNECTIONS:
            return _said(HTTPStatus.SERVICE_UNAVAILABLE)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _said(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        method, target, accept = _parsed(head)
        if not method:
            return _said(HTTPStatus.BAD_REQUEST)
        if target.partition("?")[0] != PATH:
            return _said(HTTPStatus.NOT_FOUND, f"the page is at {PATH}")
        if method not in ("GET", "HEAD"):
            return _said(HTTPStatus.METHOD_NOT_ALLOWED, more=("Allow: GET, HEAD",))
        return await self._made(accept, head_only=method == "HEAD")

    async def _made(self, accept: str, *, head_only: bool) -> bytes:
        # One at a time, and in a thread: a long page shall not hold up the turns.
        async with self._making:
            try:
                body, kind = await asyncio.to_thread(self._page, accept)
            except Exception:  # a collector of somebody else's in the same registry
                log.exception("the page of metrics cannot be made", url=self.url)
                return _said(HTTPStatus.INTERNAL_SERVER_ERROR)
        return _response(HTTPStatus.OK, kind, body, head_only=head_only)


def _parsed(head: bytes) -> tuple[str, str, str]:
    """Method, target and Accept header; all empty if it is no request."""
    request, *lines = head.decode("latin-1").split("\r\n")
    method, _, rest = request.partition(" ")
    target, _, version = rest.partition(" ")
    if not (method and target and version.startswith("HTTP/1.")):
        return "", "", ""
    pairs = (line.partition(":") for line in lines)
    accept = ",".join(value.strip() for name, _, value in pairs if name.lower() == "accept")
    return method, target, accept


def _said(status: HTTPStatus, text: str = "", more: tuple[str, ...] = ()) -> bytes:
    return _response(status, PLAIN, f"{text or status.phrase}\n".encode(), more)


def _response(
    status: HTTPStatus,
    kind: str,
    body: bytes,
    more: tuple[str, ...] = (),
    *,
    head_only: bool = False,
) -> bytes:
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *more,
    )
    head = "\r\n".join(lines) + "\r\n\r\n"
    return head.encode("latin-1") + (b"" if head_only else body)


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}"


def _why(error: OSError | UnicodeError) -> str:
    """What the system says, without asyncio's wrapping."""
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return "there is no such host"
    return os.strerror(error.errno).lower() if error.errno else str(error)
