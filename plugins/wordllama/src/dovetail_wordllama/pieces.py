"""Cutting texts into pieces, and pieces into batches that take a few milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PIECE = 4_000
"""Characters of a text tokenized at once: a megabyte in one takes more than twice as long, and
nothing can stop it."""
BATCH = 16_000
"""Characters in a batch, about 5 ms of work."""


class Piece(NamedTuple):
    """A part of a text."""

    place: int
    """Which text, from 0."""
    start: int
    """Which of its characters is the first, from 0."""
    text: str


def batches(texts: Sequence[str], size: int) -> Iterator[list[Piece]]:
    """All pieces of all texts in order.

    A batch has at most `size` of them, and not much over `BATCH` characters.
    """
    batch: list[Piece] = []
    characters = 0
    for place, text in enumerate(texts):
        for piece in _pieces(place, text):
            batch.append(piece)
            characters += len(piece.text)
            if len(batch) >= size or characters >= BATCH:
                yield batch
                batch, characters = [], 0
    if batch:
        yield batch


def _pieces(place: int, text: str) -> Iterator[Piece]:
    start = 0
    while len(text) - start > PIECE:
        end = start + PIECE
        space = _space(text, start, end)
        if space is None:
            yield Piece(place, start, text[start:end])
            start = end
        else:
            yield Piece(place, start, text[start:space])
            start = space + 1
    yield Piece(place, start, text[start:])


def _space(text: str, start: int, end: int) -> int | None:
    """The last space before `end` that can be left out, as the tokenizer begins with one itself.

    It follows a word, and no token reaches from a word over a space behind it, so that the pieces
    have exactly the tokens of the whole.
    """
    space = text.rfind(" ", start + 1, end)
    while space > 0:
        # "\u2581" means a space too, and around special tokens such as "<s>" other rules hold.
        if text[space - 1] not in " \u2581>" and text[space + 1] != "<":
            return space
        space = text.rfind(" ", start + 1, space)
    return None
