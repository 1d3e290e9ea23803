"""Text: what its bytes say, and its paragraphs."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from dovetail_vectorstore.documents import Block, UnreadableDocument

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# No text has these: the controls but tab, line feed, form feed, carriage return and escape.
_BINARY = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_GAP = re.compile(r"\n[^\S\n]*(?:\n[^\S\n]*)+")
FEW = 0.002
"""The share of control characters up to which it is taken for text, as logs and mail have some."""


def decode(data: bytes, encoding: str = "utf-8") -> str:
    """The text in `data`, its lines ending in line feeds.

    A byte order mark says how it is encoded; otherwise it is UTF-8, and if it is not that,
    `encoding`.

    Raises:
        UnreadableDocument: it is not text, or not in that encoding.
    """
    known = next((name for mark, name in _MARKS if data.startswith(mark)), "")
    if not known and b"\0" in data[:8192]:
        raise UnreadableDocument("it is not text: there are zero bytes in it")
    try:
        text = data.decode(known or "utf-8")
    except UnicodeDecodeError as error:
        text = _otherwise(data, known or "utf-8", encoding, error)
    if len(_BINARY.findall(text)) > FEW * len(text):
        raise UnreadableDocument("it is not text: there are control characters all over it")
    return _BINARY.sub(" ", text).replace("\r\n", "\n").replace("\r", "\n")


def _otherwise(data: bytes, known: str, encoding: str, first: UnicodeDecodeError) -> str:
    try:
        if codecs.lookup(encoding) == codecs.lookup("utf-8"):
            raise UnreadableDocument(
                f"it is not {known.upper()}: byte {first.start} is {data[first.start]:#04x}; "
                'convert it, or set `encoding`, for example to "cp1252"'
            ) from first
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        message = f"it is neither {known.upper()} nor {encoding}: {error.reason}"
        raise UnreadableDocument(message) from error


def paragraphs(text: str, headings: tuple[str, ...] = (), line: int = 1) -> Iterator[Block]:
    """The paragraphs of `text`, which begins on `line`."""
    place = 0
    for gap in _GAP.finditer(text):
        yield from _paragraph(text, place, gap.start(), headings, line)
        line += text.count("\n", place, gap.end())
        place = gap.end()
    yield from _paragraph(text, place, len(text), headings, line)


def _paragraph(
    text: str, start: int, end: int, headings: tuple[str, ...], line: int
) -> Iterator[Block]:
    found = text[start:end]
    if found.strip():
        blank = len(found) - len(found.lstrip("\n"))
        yield Block(found.strip("\n").rstrip(), headings, line + blank)


def read_text(text: str) -> Iterator[Block]:
    """The paragraphs of a text without any markup."""
    return paragraphs(text)
