"""A server that speaks HTTP/2 and nothing else: one answer for everything."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.events

if TYPE_CHECKING:
    import ssl
    from types import TracebackType
    from typing import Self


class H2Server:
    """`async with H2Server(context, body) as server:` runs it at `server.url`.

    With `dies` it closes a connection that brings a second request.
    """

    def __init__(self, context: ssl.SSLContext, body: bytes, *, dies: bool = False) -> None:
        context.set_alpn_protocols(["h2"])
        self.url = ""
        self.streams = 0
        self.connections = 0
        self._context = context
        self._body = body
        self._dies = dies
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.url = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        h2c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        h2c.initiate_connection()
        answered = 0
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            writer.write(h2c.data_to_send())
            while data := await reader.read(65536):
                for event in h2c.receive_data(data):
                    if isinstance(event, h2.events.StreamEnded):
                        if self._dies and answered:
                            return
                        answered += 1
                        self.streams += 1
                        h2c.send_headers(event.stream_id, [(":status", "200")])
                        h2c.send_data(event.stream_id, self._body, end_stream=True)
                writer.write(h2c.data_to_send())
