"""The bounded window between a turn and whoever reads its stream."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dovetail.chat.chunks import StreamingChunk

SIZE = 64
"""How many chunks a turn may be ahead of its reader."""


class Window:
    """A hand-off of chunks from one task to another: a fifth of the cost of an `asyncio.Queue`."""

    __slots__ = ("_chunks", "_closed", "_loop", "_ready", "_room")

    def __init__(self) -> None:
        self._chunks: deque[StreamingChunk] = deque()
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._closed = False

    def offer(self, chunk: StreamingChunk) -> bool:
        """Put a chunk in; False if the writer should wait for `room()` before the next."""
        self._chunks.append(chunk)
        if self._ready is not None:
            _wake(self._ready)
            self._ready = None
        return len(self._chunks) < SIZE or self._closed

    async def room(self) -> None:
        """Wait until the reader has taken half."""
        self._room = self._loop.create_future()
        await self._room

    def close(self) -> None:
        """No more chunks come, or nobody reads them: wake both sides."""
        self._closed = True
        for waiting in (self._ready, self._room):
            if waiting is not None:
                _wake(waiting)

    def take_all(self) -> list[StreamingChunk]:
        """What is there now, without waiting."""
        taken = list(self._chunks)
        self._chunks.clear()
        self._make_room()
        return taken

    async def take(self) -> StreamingChunk | None:
        """The next chunk; None once closed and empty."""
        while not self._chunks:
            if self._closed:
                return None
            self._ready = self._loop.create_future()
            await self._ready
        chunk = self._chunks.popleft()
        if self._room is not None:
            self._make_room()
        return chunk

    def _make_room(self) -> None:
        if self._room is not None and len(self._chunks) <= SIZE // 2:
            _wake(self._room)
            self._room = None


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
