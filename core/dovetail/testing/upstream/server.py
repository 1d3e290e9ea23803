"""The server: takes connections, notes requests, and takes the steps of their replies."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from dovetail.testing.upstream.reply import (
    Close,
    Pause,
    Reset,
    ScriptedReply,
    Wait,
    json_reply,
)
from dovetail.testing.upstream.request import UpstreamRequest, read_request

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    Answer: TypeAlias = ScriptedReply | Callable[[UpstreamRequest], ScriptedReply]

REMEMBERED = 10_000
"""How many requests are kept."""


class Upstream:
    """A server that answers as it is told. `async with Upstream() as upstream:` runs it.

    It keeps connections alive, as real servers do, unless a reply ends them. With `tls` it speaks
    https.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: deque[UpstreamRequest] = deque(maxlen=REMEMBERED)
        """What came, oldest first."""
        self.connections = 0
        """How many were made."""
        self.url = ""
        """Where it listens, without a slash at the end; known once it runs."""
        self._tls = tls
        self._scripts: dict[str, deque[Answer]] = {}
        self._server: asyncio.Server | None = None
        self._peers: dict[_Reader, asyncio.Task[None]] = {}
        self._broken: BaseException | None = None
        self._came = asyncio.Event()

    @property
    def open(self) -> int:
        """How many connections are open now."""
        return len(self._peers)

    def reply(self, path: str, *replies: Answer) -> None:
        """Answer requests for `path` with these, one after the other; the last one stays.

        The path may be the end of one: `/chat/completions` is also that of
        `/v1/chat/completions`. A reply may be a function of the request. Earlier replies to the
        same path are forgotten.
        """
        self._scripts[path] = deque(replies)

    def script(self, *replies: Answer) -> None:
        """The same for every path that has no replies of its own."""
        self.reply("", *replies)

    async def arrived(self, count: int = 1, seconds: float = 10.0) -> UpstreamRequest:
        """The request with this number (the first is 1), as soon as it has come.

        Raises:
            TimeoutError: it did not come within `seconds`.
        """
        async with asyncio.timeout(seconds):
            while len(self.requests) < count:
                self._came.clear()
                await self._came.wait()
        return self.requests[count - 1]

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()

        def protocol() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(_Reader(loop=loop), self._accept, loop=loop)

        self._server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop; an error of a script's own, such as of a function in it, is raised here."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._peers.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
        if self._broken is not None and error is None:
            raise self._broken

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert isinstance(reader, _Reader)
        number = self.connections
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer, number), name=f"upstream {number}")
        self._peers[reader] = task

        def ended(task: asyncio.Task[None]) -> None:
            del self._peers[reader]
            if not task.cancelled() and task.exception() is not None:
                self._broken = task.exception()

        task.add_done_callback(ended)

    async def _serve(self, reader: _Reader, writer: asyncio.StreamWriter, number: int) -> None:
        dies = False
        try:
            if self._take_accepting() is not None:
                _reset(writer)
                return
            while (request := await read_request(reader, number)) is not None:
                self.requests.append(request)
                self._came.set()
                if dies:
                    return
                reply = self._next(request)
                dies = reply.then_dies
                if not await _answer(reply, request, reader, writer):
                    return
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    def _take_accepting(self) -> ScriptedReply | None:
        for script in self._scripts.values():
            reply = script[0] if script else None
            if isinstance(reply, ScriptedReply) and reply.at_accept:
                if len(script) > 1:
                    script.popleft()
                return reply
        return None

    def _next(self, request: UpstreamRequest) -> ScriptedReply:
        paths = sorted((p for p in self._scripts if request.path.endswith(p)), key=len)
        script = self._scripts[paths[-1]] if paths else None
        if not script:
            words = f"nothing is scripted for {request.method} {request.path}"
            return json_reply(404, {"error": {"message": words}})
        answer = script.popleft() if len(script) > 1 else script[0]
        return answer if isinstance(answer, ScriptedReply) else answer(request)


class _Reader(asyncio.StreamReader):
    """Also says that the client has gone, while nobody reads."""

    def __init__(self, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(2**20, loop)
        self.gone = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.gone.set()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.gone.set()


async def _answer(
    reply: ScriptedReply, request: UpstreamRequest, reader: _Reader, writer: asyncio.StreamWriter
) -> bool:
    """Take the steps of `reply`; gives whether the connection may be used again."""
    sending = asyncio.create_task(_send(reply, writer))
    leaving = asyncio.create_task(reader.gone.wait())
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        if not sending.done():
            sending.cancel()
        await asyncio.wait({sending, leaving})
    if sending.cancelled() or isinstance(sending.exception(), ConnectionError):
        request.disconnected.set()
        return False
    stays = sending.result()
    request.answered.set()
    return stays and request.headers.get("connection") != "close"


async def _send(reply: ScriptedReply, writer: asyncio.StreamWriter) -> bool:
    for step in reply.wire():
        if isinstance(step, bytes):
            writer.write(step)
            await writer.drain()
            await asyncio.sleep(0)  # let it go off by itself
        elif isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, Wait):
            await step.gate.passed()
        elif isinstance(step, Reset):
            _reset(writer)
            return False
        elif isinstance(step, Close):
            return False
    return True


def _reset(writer: asyncio.StreamWriter) -> None:
    plain: socket.socket = writer.get_extra_info("socket")
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
