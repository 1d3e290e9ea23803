"""Server-sent events (WHATWG HTML, section 9.2.6) out of bytes; does no I/O.

Bytes, not text: UTF-8 may be split anywhere, U+2028 is no line end, and one byte order mark at the
start is dropped. An event that no blank line ends is dropped too.
"""

from __future__ import annotations

from dataclasses import dataclass

from dovetail.errors import InvalidResponse
from dovetail.http.lines import LONGEST, LineBuffer

BOM = b"\xef\xbb\xbf"
REFERENCE = 8
"""Bytes that a line of data takes beside its own, so that countless empty ones have a bound."""
LONGEST_NUMBER = 15
"""Digits that `retry` may have; Python refuses to read very long ones."""


@dataclass(slots=True)
class ServerSentEvent:
    """One event that has data."""

    data: bytes
    """Its data lines, joined by LF; not decoded, since what is in it is JSON for a parser."""
    event: str = "message"
    id: str = ""
    retry: int | None = None
    """Milliseconds after which to connect again, as the server last said."""


class SseDecoder:
    """Feed it bytes as they come; it gives the events they complete.

    What came before something too long is given first, the error by the call after that.
    """

    __slots__ = (
        "_data",
        "_error",
        "_event",
        "_head",
        "_id",
        "_lines",
        "_longest",
        "_retry",
        "_size",
    )

    def __init__(self, longest: int = LONGEST) -> None:
        """Limit a line, and the data of an event, to `longest` bytes."""
        self._lines = LineBuffer(lone_cr=True, longest=longest)
        self._longest = longest
        self._size = 0
        self._error: InvalidResponse | None = None
        self._head: bytes | None = b""
        self._data: list[bytes] = []
        self._event = ""
        self._id = ""
        self._retry: int | None = None

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """The events that `data` completes.

        Raises:
            InvalidResponse: a line or an event is longer than anything sensible.
        """
        if self._error is not None:
            raise self._error
        if self._head is not None:
            self._head += data
            if len(self._head) < len(BOM) and BOM.startswith(self._head):
                return []
            data, self._head = self._head.removeprefix(BOM), None
        events: list[ServerSentEvent] = []
        try:
            for line in self._lines.feed(data):
                if line:
                    self._field(line)
                elif (event := self._dispatch()) is not None:
                    events.append(event)
        except InvalidResponse as error:
            self._error = error
            if not events:
                raise
        return events

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._add(value)
        elif name == b"event":
            self._event = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode(errors="replace")
        elif name == b"retry" and value.isdigit() and len(value) <= LONGEST_NUMBER:
            self._retry = int(value)

    def _add(self, value: bytes) -> None:
        self._data.append(value)
        self._size += len(value) + REFERENCE
        if self._size > self._longest + REFERENCE:
            message = f"the answer has an event of more than {self._longest // 2**20} MiB"
            raise InvalidResponse(message)

    def _dispatch(self) -> ServerSentEvent | None:
        event, self._event = self._event or "message", ""
        if not self._data:
            return None
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data, self._size = [], 0
        return ServerSentEvent(data, event, self._id, self._retry)
