"""The messages that were read last, so that a turn need not read them again.

What was appended never changes, and no two appends have the same batch number. So the end of a
history that is known is still right if its last batch is where it was; `refresh` looks.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from dovetail import ChatMessage

MESSAGE_BYTES = 1000
"""About what a message takes in memory beside its text."""


class Tail(NamedTuple):
    """The end of a session's history as it was read."""

    key: int
    messages: list[ChatMessage]
    """Never changed, since others may hold it."""
    end: int
    """How many messages the session had."""
    place: int
    """Where its last batch is."""
    batch: int
    size: int
    """About how many bytes the messages take."""

    @property
    def start(self) -> int:
        """How many messages are before these."""
        return self.end - len(self.messages)


class Tails:
    """Tails by session, as many as fit into `limit` bytes; the one used longest ago goes first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._tails: OrderedDict[str, Tail] = OrderedDict()

    def get(self, session_id: str) -> Tail | None:
        """The session's tail, if it is known."""
        tail = self._tails.get(session_id)
        if tail is not None:
            self._tails.move_to_end(session_id)
        return tail

    def keep(self, session_id: str, tail: Tail | None) -> None:
        """Remember it instead of the one before; forget that if it is None."""
        before = self._tails.pop(session_id, None)
        if before is not None:
            self._size -= before.size
        if tail is None or tail.size > self._limit:
            return
        self._tails[session_id] = tail
        self._size += tail.size
        while self._size > self._limit:
            self._size -= self._tails.popitem(last=False)[1].size
