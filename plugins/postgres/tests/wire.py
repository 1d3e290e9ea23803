"""A wire to the server, which can be cut, go dead, or lose an answer."""

from __future__ import annotations

import asyncio
from typing import Self

SYNC = b"S\0\0\0\4"
"""With this PostgreSQL's protocol ends what is to be answered at once."""


class Wire:
    """A TCP port that leads to the server's Unix socket."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: set[Line] = set()
        self._lose: list[tuple[bytes, int]] = []
        self.port = 0
        self.asked = 0
        """How many round trips there were."""
        self.lost = 0
        """How many answers it has lost."""
        self.refused = asyncio.Event()
        """Set when a connection was refused."""
        self._refuses = False

    @property
    def url(self) -> str:
        return f"postgresql://postgres:hunter22@127.0.0.1:{self.port}/postgres"

    def refuse(self) -> None:
        """Cut every connection, and each that comes."""
        self._refuses = True
        for line in self._lines:
            line.cut()

    def accept(self) -> None:
        """Be a wire again."""
        self._refuses = False

    def go_dead(self) -> None:
        """Hand nothing on any more, on the connections that there are now."""
        for line in self._lines:
            line.dead = True

    def cut_dead(self) -> None:
        """Cut those that went dead."""
        for line in self._lines:
            if line.dead:
                line.cut()

    def lose_answer(self, mark: str, *, after: int = 0) -> None:
        """Cut the connection instead of handing on the answer to what holds `mark`.

        `after` is how many such questions are answered before that.
        """
        self._lose.append((mark.encode(), after))

    def loses(self, question: bytes) -> bool:
        """Whether the answer to this is to be lost."""
        for place, (mark, after) in enumerate(self._lose):
            if mark in question:
                if after:
                    self._lose[place] = (mark, after - 1)
                    return False
                del self._lose[place]
                self.lost += 1
                return True
        return False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.refuse()
        await asyncio.gather(*self._tasks)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if self._refuses:
            self.refused.set()
        else:
            theirs, ours = await asyncio.open_unix_connection(self._socket)
            line = Line(self, writer, ours)
            self._lines.add(line)
            await asyncio.gather(line.ask(reader), line.answer(theirs))
            self._lines.discard(line)
        writer.close()
        self._tasks.discard(task)


class Line:
    """One connection: when one end closes it, or it is cut, the other is closed too."""

    def __init__(
        self, wire: Wire, client: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> None:
        self._wire = wire
        self._client = client
        self._server = server
        self._loses = False
        self.dead = False

    def cut(self) -> None:
        for writer in (self._client, self._server):
            writer.transport.abort()

    async def ask(self, reader: asyncio.StreamReader) -> None:
        try:
            while data := await reader.read(65536):
                if self.dead:
                    continue
                self._wire.asked += data.count(SYNC)
                self._loses = self._wire.loses(data)
                self._server.write(data)
        except OSError:
            pass
        self.cut()

    async def answer(self, reader: asyncio.StreamReader) -> None:
        try:
            while (data := await reader.read(65536)) and not self._loses:
                if not self.dead:
                    self._client.write(data)
        except OSError:
            pass
        self.cut()
