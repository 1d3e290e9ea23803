"""What a fake model is told to say, and how that becomes chunks."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, TypeAlias

from dovetail.chat.chunks import StreamingChunk, ToolCallDelta, chunks_of
from dovetail.chat.messages import ToolCall
from dovetail.chat.responses import ChatResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from dovetail.chat.requests import ChatRequest

    Pause: TypeAlias = BaseException | float | "Gate"
    Piece: TypeAlias = str | StreamingChunk | ToolCall | Pause
    Reply: TypeAlias = Piece | ChatResponse | Iterable[Piece] | Callable[[ChatRequest], "Reply"]


class Gate:
    """A place in an answer where the model waits until the test says go."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._opened = asyncio.Event()

    def open(self) -> None:
        """Let the model go on; a gate stays open."""
        self._opened.set()

    async def reached(self, seconds: float = 10.0) -> None:
        """Wait until a model stands before it.

        Raises:
            TimeoutError: none came within `seconds`.
        """
        async with asyncio.timeout(seconds):
            await self._reached.wait()

    async def passed(self) -> None:
        """Stand before it until it is open; the model calls this."""
        self._reached.set()
        await self._opened.wait()


async def chunks_of_reply(reply: Reply, request: ChatRequest) -> AsyncIterator[StreamingChunk]:
    """The chunks of `reply`, which is one of these.

    * a text: a chunk for each word;
    * a `ToolCall`, a `StreamingChunk`, a whole `ChatResponse`;
    * an exception, which is raised;
    * a number: seconds to pause; a `Gate`: wait until the test opens it;
    * several of these, one after the other, where each text is one chunk as it is;
    * a function that gives one of these for the request.
    """
    while callable(reply):
        reply = reply(request)
    for piece in _pieces(reply):
        if isinstance(piece, StreamingChunk):
            yield piece
        elif isinstance(piece, BaseException):
            raise piece
        elif isinstance(piece, Gate):
            await piece.passed()
        else:
            await asyncio.sleep(piece)


def words(text: str) -> list[str]:
    """The words of `text`, each with the blanks after it; together they are the text."""
    return re.findall(r"\s*\S+\s*", text) or ([text] if text else [])


def _pieces(reply: Reply) -> Iterator[StreamingChunk | Pause]:
    if isinstance(reply, ChatResponse):
        yield from chunks_of(reply)
    elif isinstance(reply, str):
        yield from (StreamingChunk(text=word) for word in words(reply))
    elif isinstance(reply, (StreamingChunk, ToolCall, BaseException, int, float, Gate)):
        yield from _several((reply,))
    elif not callable(reply):  # the caller has called it
        yield from _several(reply)


def _several(pieces: Iterable[Piece]) -> Iterator[StreamingChunk | Pause]:
    calls = 0
    for piece in pieces:
        if isinstance(piece, ToolCall):
            delta = ToolCallDelta(piece.id, piece.name, piece.arguments, calls)
            calls += 1
            yield StreamingChunk(tool_calls=(delta,))
        elif isinstance(piece, str):
            yield StreamingChunk(text=piece)
        else:
            yield piece
