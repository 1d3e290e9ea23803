"""Lines out of bytes that come in pieces of any size."""

from __future__ import annotations

import itertools

from dovetail.errors import InvalidResponse

LONGEST = 64 * 1024 * 1024
"""Bytes a line may have: an image in base64 fits, and no stream can fill the memory."""


class LineBuffer:
    """Splits bytes at CR LF, LF and (if `lone_cr`) CR; nothing else ends a line.

    A CR at the end of a piece ends its line at once; a LF that follows it belongs to it. A line of
    more than `longest` bytes is an error, which comes after the lines before it were given.
    """

    __slots__ = ("_after_cr", "_error", "_lone_cr", "_longest", "_parts", "_size")

    def __init__(self, *, lone_cr: bool, longest: int = LONGEST) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._lone_cr = lone_cr
        self._longest = longest
        self._after_cr = False
        self._error: InvalidResponse | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their ends.

        Raises:
            InvalidResponse: a line is too long, now or before.
        """
        if self._error is not None:
            raise self._error
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if self._lone_cr and b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._parts:
            lines[0] = b"".join((*self._parts, lines[0]))
            self._parts, self._size = [], 0
        if rest:
            self._parts.append(rest)
            self._size += len(rest)
        longest = max(len(data), self._size, len(lines[0]) if lines else 0)
        if longest > self._longest:
            return self._up_to_a_long_one(lines)
        return lines

    def take_rest(self) -> bytes:
        """What came after the last line end."""
        rest = b"".join(self._parts)
        self._parts, self._size = [], 0
        return rest

    def _up_to_a_long_one(self, lines: list[bytes]) -> list[bytes]:
        good = list(itertools.takewhile(lambda line: len(line) <= self._longest, lines))
        if len(good) == len(lines) and self._size <= self._longest:
            return lines  # together they are long, each is not
        message = f"the answer has a line of more than {self._longest // 2**20} MiB"
        self._error = InvalidResponse(message)
        self._parts, self._size = [], 0
        if not good:
            raise self._error
        return good
