"""What comes before an answer's first words, held back until they are there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dovetail import StreamingAccumulator, StreamingChunk

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEARD = ("audio", "images")
"""Fields of a delta that dovetail has no place for and that are the answer all the same."""
MOST = 65_536
"""Bytes of events that may be held back. A stream may say nothing for ever."""


class Held:
    """Holds back chunks that no reader sees, until one comes that he does.

    A chunk is handed on at once, and after one nobody may ask the server again or ask another
    instead. What a good stream ends with is seen, so nothing is lost. After `MOST` bytes of events
    what has come is handed on all the same.
    """

    __slots__ = ("_held", "_size", "over")

    def __init__(self) -> None:
        self._held: dict[int, StreamingChunk] = {}
        self._size = 0
        self.over = False
        """Whether nothing is held back any more."""

    def release(self, chunks: list[StreamingChunk], size: int) -> list[StreamingChunk]:
        """What may be handed on now that `chunks` have come in an event of `size` bytes."""
        if self.over:
            return chunks
        self._size += size
        held, ready = self._held, []
        for new in chunks:
            before = held.pop(new.index, None)
            chunk = new if before is None else _merged(before, new)
            if _is_seen(chunk):
                ready.append(chunk)
            else:
                held[chunk.index] = chunk
        if ready or self._size > MOST:
            ready += held.values()
            self._held, self.over = {}, True
        return ready


def _is_seen(chunk: StreamingChunk) -> bool:
    """Whether a reader sees or hears it, a tool runs by it, or it is an end."""
    return bool(
        chunk.text
        or chunk.reasoning
        or chunk.refusal
        or chunk.tool_calls
        or chunk.finish_reason is not None
        or (chunk.extras and any(name in chunk.extras for name in _HEARD))
    )


def _merged(before: StreamingChunk, chunk: StreamingChunk) -> StreamingChunk:
    """One chunk that says what both say; there is nothing to see in `before`."""
    both = StreamingAccumulator()
    for one in (before, chunk):
        both.add(
            StreamingChunk(usage=one.usage, annotations=one.annotations, logprobs=one.logprobs)
        )
    told = both.response()
    return replace(
        chunk,
        usage=told.usage,
        annotations=told.message.annotations,
        logprobs=told.logprobs,
        extras=_extras(before.extras or {}, chunk.extras or {}) or None,
    )


def _extras(older: Mapping[str, Any], newer: Mapping[str, Any]) -> dict[str, Any]:
    """As a `StreamingChunk` has them: later keys win, but a tuple adds to what came before."""
    made = {**older, **newer}
    for name, value in newer.items():
        known = older.get(name)
        if isinstance(value, tuple) and isinstance(known, tuple):
            made[name] = known + value
    return made
