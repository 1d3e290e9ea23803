"""A line to a server that can be cut at the worst moment; and a server that lies."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Wire:
    """Passes everything on, but loses the answer to what is named by `lose`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lose: list[bytes] = []
        self.lost = 0
        """How many answers it has lost."""
        self.url = ""

    def lose(self, *marks: str) -> None:
        """Lose the next answer to a command that holds a mark, once for each."""
        self._lose += [mark.encode() for mark in marks]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(closed, writer)
            upstream, downstream = await asyncio.open_connection("127.0.0.1", self._port)
            stack.push_async_callback(closed, downstream)
            while data := await reader.read(2**20):
                downstream.write(data)
                answer = await upstream.read(2**20)
                mark = next((mark for mark in self._lose if mark in data), None)
                if mark is not None:
                    self._lose.remove(mark)
                    self.lost += 1
                    break
                writer.write(answer)


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@asynccontextmanager
async def wire_to(port: int) -> AsyncIterator[Wire]:
    wire = Wire(port)
    async with _listening(wire.serve) as wire.url:
        yield wire


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """The address of a server that says `answer` to whatever it is told; nothing for silence."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(closed, writer)
            while data := await reader.read(2**16):
                commands = (b"\r\n" + data).count(b"\r\n*")
                writer.write(answer * commands)

    async with _listening(serve) as url:
        yield url


@asynccontextmanager
async def _listening(serve: object) -> AsyncIterator[str]:
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await serve(reader, writer)  # type: ignore[operator]

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
