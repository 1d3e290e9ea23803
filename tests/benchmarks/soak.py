"""Many chats over real sockets, a tenth of them cancelled in the three places a turn can be.

`tests/test_soak.py` runs some thousands of them, `make bench` ten thousand.
"""

import asyncio
import gc
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dovetail import (
    ChatProvider,
    ChatRequest,
    ExecutionContext,
    FinishReason,
    Kernel,
    SessionStatus,
    Settings,
    StreamingChunk,
    hookimpl,
)

GROUP = 30
"""Chats that run at the same time; three of them are cancelled."""
SESSIONS = 40


class WireSettings(Settings):
    """Where the peer listens."""

    path: str


class Wire(ChatProvider):
    """Asks a peer over a socket of its own for each chat, and streams what it says."""

    settings: WireSettings

    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncIterator[StreamingChunk]:
        """A chunk for each line."""
        reader, writer = await asyncio.open_unix_connection(self.settings.path)
        try:
            writer.write(f"{request.messages[-1].text}\n".encode())
            while line := await reader.readline():
                yield StreamingChunk(text=line.decode())
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


class Peer:
    """The other side: `say` is answered, `silent` never, `hold` with a word and then no more."""

    def __init__(self) -> None:
        self.connections = 0
        """Those that are open."""
        self.alone = asyncio.Event()
        """Set while nobody is connected."""
        self.asked = asyncio.Event()
        """Set when `silent` was heard."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends."""
        self.connections += 1
        self.alone.clear()
        try:
            order = (await reader.readline()).strip()
            if order == b"silent":
                self.asked.set()
            else:
                writer.write(b"word\n" if order == b"hold" else b"one\ntwo\nthree\n")
            if order != b"say":
                await reader.read()  # until the client goes away
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self.connections -= 1
            if not self.connections:
                self.alone.set()


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the process holds."""

    tasks: int
    descriptors: int
    connections: int
    """Open ones at the peer."""
    objects: int
    """Those the garbage collector follows."""
    blocks: int
    """Pieces of memory that Python handed out."""
    resident: int
    """Bytes of real memory; 0 where the system does not say."""


class Soak:
    """A kernel and its peer; `run` makes chats, `footprint` tells what they left."""

    def __init__(self, folder: Path) -> None:
        self._path = str(folder / "peer")
        self._peer = Peer()
        self.chats = self.cancelled = 0

    async def __aenter__(self) -> Self:
        """Start both. Sessions are so few and short that they are full soon."""
        self._server = await asyncio.start_unix_server(self._peer.serve, self._path)
        config = {
            "providers": {"wire": {"use": "soak", "path": self._path}},
            "sessions": {"max_sessions": SESSIONS, "max_messages": 20},
        }
        self._kernel = Kernel.open(config, env={}, discover_installed=False)
        await self._kernel.register("soak", sys.modules[__name__]).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop both."""
        await self._kernel.close()
        self._server.close()
        await self._server.wait_closed()

    async def run(self, chats: int) -> None:
        """Make so many chats, in groups, and check how each of them ends."""
        end = self.chats + chats
        while self.chats < end:
            first = self.chats
            plain = (self._whole(first + n) for n in range(GROUP - 3))
            await asyncio.gather(*plain, self._silent(first), self._waiting(first))
            self.chats += GROUP
            self.cancelled += 3

    async def footprint(self) -> Footprint:
        """What is held now that no chat runs."""
        with suppress(TimeoutError):  # then connections are left, and say so
            async with asyncio.timeout(5):  # the peer sees the end of a socket a little later
                await self._peer.alone.wait()
        gc.collect()
        return Footprint(
            tasks=len(asyncio.all_tasks()),
            descriptors=len(os.listdir("/dev/fd")),  # noqa: PTH208 - names are enough
            connections=self._peer.connections,
            objects=len(gc.get_objects()),
            blocks=sys.getallocatedblocks(),
            resident=resident(),
        )

    async def _whole(self, number: int) -> None:
        """A chat that nobody disturbs; every other one without a session."""
        session = f"s{number % SESSIONS}" if number % 2 else None
        response = await self._kernel.chat("say", session=session)
        assert response.text == "one\ntwo\nthree\n"

    async def _silent(self, number: int) -> None:
        """A chat that is cancelled, by its session, before the first chunk."""
        session = f"silent-{number % SESSIONS}"
        self._peer.asked.clear()
        chat = asyncio.create_task(self._kernel.chat("silent", session=session))
        await self._peer.asked.wait()
        assert self._kernel.runs.cancel_session(session)
        assert (await chat).finish_reason is FinishReason.CANCELLED

    async def _waiting(self, number: int) -> None:
        """A chat whose reader leaves it, and one cancelled while it waits for the session."""
        session = f"hold-{number % SESSIONS}"
        async with self._kernel.stream("hold", session=session) as stream:
            async for chunk in stream:
                assert chunk.text == "word\n"
                break
            waiting = asyncio.create_task(self._kernel.chat("say", session=session))
            while not self._waits(session):  # noqa: ASYNC110 - a run's status is there to be looked at
                await asyncio.sleep(0)
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting
        assert waiting.cancelled()
        assert stream.response.finish_reason is FinishReason.CANCELLED
        assert stream.response.text == "word\n"

    def _waits(self, session: str) -> bool:
        waiting = (r for r in self._kernel.runs.runs() if r.status is SessionStatus.WAITING)
        return any(run.session_id == session for run in waiting)


@hookimpl
def providers() -> list[type[ChatProvider]]:
    """This module is a plugin."""
    return [Wire]


def resident() -> int:
    """Bytes of real memory that this process has; 0 where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:  # not Linux
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
