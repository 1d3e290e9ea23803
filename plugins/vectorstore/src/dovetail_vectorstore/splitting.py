"""Cutting a text that is too long where it hurts least."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dovetail_vectorstore.tokens import TokenCounter

Span = tuple[int, int]
"""Where a part of a text begins and ends."""

LONGEST_TOKEN = 16
"""Characters. What has more than this for each token is too long; it need not be counted."""

NEAR = 200
"""Characters around the middle of a long text in which white space is looked for."""

_PARAGRAPHS = re.compile(r"\n[^\S\n]*\n\s*")
_ITEMS = re.compile(r"\n(?=[^\S\n]*(?:[-*+•|]|\d+[.)])\s?)")
_SENTENCES = re.compile(r"(?<=[.!?…])[\"'”»)\]]*\s+(?=\S)|(?<=[。！？])")  # noqa: RUF001 - they end sentences
_LINES = re.compile(r"\n")

PROSE = (_PARAGRAPHS, _ITEMS, _SENTENCES)
CODE = (re.compile(r"\n[^\S\n]*\n(?=\S)"), re.compile(r"\n[^\S\n]*\n"), _LINES)


def split(text: str, limit: int, count: TokenCounter, *, code: bool) -> Iterator[Span]:
    """Parts of `text` of at most `limit` tokens, in order; what is between two is white space.

    Prose is cut between paragraphs, items of lists and sentences, code between blank lines and
    lines, and either between words, or anywhere, only where there is no better place.
    """
    cutter = _Cutter(text, limit, count, code=code)
    yield from cutter.split((0, len(text)), CODE if code else PROSE)


def tail(text: str, limit: int, count: TokenCounter, *, code: bool) -> int | None:
    """Where the last sentences, or lines, of `text` begin that have at most `limit` tokens.

    None if not even one fits.
    """
    start, left = None, limit
    window = max(0, len(text) - limit * LONGEST_TOKEN)
    breaks = [m.end() for m in (_LINES if code else _SENTENCES).finditer(text, window)]
    end = len(text)
    for begin in reversed(breaks):
        left -= count(text[begin:end])
        if left < 0:
            break
        start = end = begin
    if start is None:
        return None
    return len(text) - len(text[start:].lstrip("\r\n"))


class _Cutter:
    def __init__(self, text: str, limit: int, count: TokenCounter, *, code: bool) -> None:
        self._text = text
        self._limit = limit
        self._count = count
        self._blank = "\r\n" if code else None
        """What may be taken away in front: not what indents code."""

    def split(self, span: Span, breaks: Sequence[re.Pattern[str]]) -> Iterator[Span]:
        start, end = self._trimmed(span)
        if start == end:
            return
        if self._fits(start, end):
            yield start, end
            return
        if not breaks:
            middle = _middle(self._text, start, end)
            yield from self.split((start, middle), ())
            yield from self.split((middle, end), ())
            return
        begin = start
        for found in breaks[0].finditer(self._text, start, end):
            yield from self.split((begin, found.end()), breaks[1:])
            begin = found.end()
        yield from self.split((begin, end), breaks[1:])

    def _fits(self, start: int, end: int) -> bool:
        if end - start < 2:
            return True  # there is nothing smaller
        if end - start > self._limit * LONGEST_TOKEN:
            return False
        return self._count(self._text[start:end]) <= self._limit

    def _trimmed(self, span: Span) -> Span:
        start, end = span
        inner = self._text[start:end].rstrip()
        return start + len(inner) - len(inner.lstrip(self._blank)), start + len(inner)


def _middle(text: str, start: int, end: int) -> int:
    """The white space next to the middle, or the middle of what has none."""
    middle = (start + end) // 2
    around = min(NEAR, max(1, (end - start) // 4))
    for distance in range(around):
        for place in (middle - distance, middle + distance):
            if start < place < end and text[place].isspace():
                return place
    return middle
