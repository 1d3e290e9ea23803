"""Chunks: the parts in which a document is embedded and found."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import TYPE_CHECKING, NamedTuple

from dovetail_vectorstore.documents import Block, Chunk
from dovetail_vectorstore.splitting import split, tail
from dovetail_vectorstore.tokens import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dovetail_vectorstore.tokens import TokenCounter

GAP = "\n\n"
SMALLEST = 8
"""Tokens below which a chunk says nothing."""


class _Part(NamedTuple):
    """A part of a block: the whole of it, if it fits into a chunk."""

    block: Block
    start: int
    end: int
    line: int
    """Lines of the block above it."""
    tokens: int

    @property
    def text(self) -> str:
        return self.block.text[self.start : self.end]


def chunks_of(
    blocks: Iterable[Block],
    *,
    limit: int = 256,
    overlap: int = 32,
    count: TokenCounter = estimate_tokens,
) -> Iterator[Chunk]:
    """Pack `blocks` into chunks of at most `limit` tokens, headings included.

    A chunk never goes over a heading, and a block is cut only if it does not fit into a chunk of
    its own. Each chunk but the first under a heading begins with the last sentences of the one
    before, at most `overlap` tokens. `count` says how many tokens a text has.

    Raises:
        ValueError: `limit` is below 8 tokens, or `overlap` more than half of it.
    """
    if limit < SMALLEST or not 0 <= overlap <= limit // 2:
        message = (
            f"a chunk of {limit} tokens with an overlap of {overlap} cannot be: it has at least "
            f"{SMALLEST}, and the overlap is at most half of it"
        )
        raise ValueError(message)
    for headings, section in groupby(blocks, key=lambda block: block.headings):
        path = count(" > ".join(headings) + GAP) if headings else 0
        shown = path <= limit // 2
        room = limit - path if shown else limit
        for parts in _packed(section, room, min(overlap, room // 2), count):
            yield _chunk(headings, parts, shown=shown)


def _packed(
    blocks: Iterable[Block], room: int, overlap: int, count: TokenCounter
) -> Iterator[list[_Part]]:
    packed: list[_Part] = []
    taken = 0
    for block in blocks:
        for part in _parts(block, room, count):
            glue = count(_between(packed[-1], part)) if packed else 0
            if packed and taken + glue + part.tokens > room:
                yield packed
                packed = _carried(packed, block, min(overlap, room - part.tokens), count)
                taken = sum(carried.tokens for carried in packed)
                glue = count(_between(packed[-1], part)) if packed else 0
                if taken + glue + part.tokens > room:
                    packed, taken, glue = [], 0, 0
            packed.append(part)
            taken += glue + part.tokens
        if not block.text.strip():  # a heading with nothing under it
            yield [_Part(block, 0, 0, 0, 0)]
    if packed:
        yield packed


def _parts(block: Block, room: int, count: TokenCounter) -> Iterator[_Part]:
    text, place, line = block.text, 0, 0
    for start, end in split(text, room, count, code=block.code):
        line += text.count("\n", place, start)
        place = start
        yield _Part(block, start, end, line, count(text[start:end]))


def _carried(packed: list[_Part], block: Block, overlap: int, count: TokenCounter) -> list[_Part]:
    """The end of what was packed, to begin the next chunk with, which goes on in `block`.

    The last lines of code say nothing to what follows it.
    """
    carried: list[_Part] = []
    for part in reversed(packed):
        if part.block.code and part.block is not block:
            break
        if part.tokens > overlap:
            start = tail(part.text, overlap, count, code=part.block.code) if overlap > 0 else None
            if start is not None:
                line = part.line + part.text.count("\n", 0, start)
                tokens = count(part.text[start:])
                carried.append(_Part(part.block, part.start + start, part.end, line, tokens))
            break
        carried.append(part)
        overlap -= part.tokens + count(GAP)
    return carried[::-1]


def _chunk(headings: tuple[str, ...], parts: list[_Part], *, shown: bool) -> Chunk:
    first, last = parts[0], parts[-1]
    return Chunk(
        body="".join(_pieces(parts)),
        headings=headings,
        line=None if first.block.line is None else first.block.line + first.line,
        end_line=_end_line(last),
        page=first.block.page,
        end_page=last.block.page,
        shown=shown,
    )


def _pieces(parts: list[_Part]) -> Iterator[str]:
    yield parts[0].text
    for before, part in pairwise(parts):
        yield _between(before, part)
        yield part.text


def _between(before: _Part, part: _Part) -> str:
    """What stands between two parts: what stood there, or a blank line between blocks."""
    return before.block.text[before.end : part.start] if before.block is part.block else GAP


def _end_line(part: _Part) -> int | None:
    above = part.block.line
    return None if above is None else above + part.line + part.text.count("\n")
