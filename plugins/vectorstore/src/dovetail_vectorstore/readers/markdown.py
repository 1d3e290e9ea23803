"""Markdown: headings, paragraphs, lists, tables, code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dovetail_vectorstore.documents import Block, heading_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[^`]*$")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n.*?\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)


def read_markdown(text: str) -> Iterator[Block]:
    """The blocks of CommonMark text, each under its headings; front matter and comments are not.

    A heading that has nothing under it is a block without text.
    """
    for pattern in (_FRONT_MATTER, _COMMENT):
        text = pattern.sub(lambda found: "\n" * found[0].count("\n"), text)
    return _Reader(text).blocks()


class _Reader:
    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._path: list[tuple[int, str]] = []
        """Level and words of the headings above."""
        self._empty: Block | None = None
        """The last heading, as long as nothing stands under it."""

    def blocks(self) -> Iterator[Block]:
        pending: list[str] = []
        number = 0
        while number < len(self._lines):
            line = self._lines[number]
            if fence := _FENCE.match(line):
                yield from self._block(pending, number)
                end = self._end_of(fence[1], number)
                yield from self._block(self._lines[number:end], end, code=True)
                pending, number = [], end
                continue
            if level := _underlined(pending, line):
                yield from self._enter(level, " ".join(pending), number + 1 - len(pending))
                pending = []
            elif atx := _ATX.match(line):
                yield from self._block(pending, number)
                yield from self._enter(len(atx[1]), atx[2] or "", number + 1)
                pending = []
            elif line.strip():
                pending.append(line)
            else:
                yield from self._block(pending, number)
                pending = []
            number += 1
        yield from self._block(pending, number)
        if self._empty is not None:
            yield self._empty

    def _block(self, lines: list[str], end: int, *, code: bool = False) -> Iterator[Block]:
        """One of `lines`, which end before the line of index `end`."""
        if lines:
            self._empty = None
            yield Block("\n".join(lines), self._headings(), end - len(lines) + 1, code=code)

    def _enter(self, level: int, words: str, line: int) -> Iterator[Block]:
        if self._empty is not None and level <= self._path[-1][0]:
            yield self._empty
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        self._empty = None
        if heading := heading_of(words):
            self._path.append((level, heading))
            self._empty = Block("", self._headings(), line)

    def _headings(self) -> tuple[str, ...]:
        return tuple(words for _, words in self._path)

    def _end_of(self, fence: str, number: int) -> int:
        """The index behind the line that closes a fence, or behind the last."""
        closing = re.compile(rf" {{0,3}}{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$")
        for end in range(number + 1, len(self._lines)):
            if closing.match(self._lines[end]):
                return end + 1
        return len(self._lines)


def _underlined(above: list[str], line: str) -> int:
    """The level of the heading that `line` makes of the lines above, or 0."""
    found = _SETEXT.match(line)
    if not found or not above or above[0].lstrip()[:1] in {"|", ">", "-", "*", "+"}:
        return 0
    return 1 if found[1][0] == "=" else 2
