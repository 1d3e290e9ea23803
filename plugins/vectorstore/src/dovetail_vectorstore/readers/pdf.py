"""PDF: the text of its pages, under the headings of its outline."""

from __future__ import annotations

import io
import logging
import re
from typing import TYPE_CHECKING, Any

from dovetail_vectorstore.documents import Block, UnreadableDocument, heading_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pypdf import PdfReader

_ENDS = (".", "!", "?", ":", "…")
_HYPHEN = re.compile(r"(?<=[a-zà-ÿ])-\n(?=[a-zà-ÿ])")
DEEPEST = 6
"""Levels of an outline that are read."""


def read_pdf(data: bytes) -> list[Block]:
    """The paragraphs of every page, as far as a page's text has any.

    Raises:
        UnreadableDocument: it is broken, needs a password, or holds pictures only.
    """
    import pypdf
    from pypdf.errors import DependencyError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what it stumbles over, line by line
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise UnreadableDocument(_ENCRYPTED)
        blocks = list(_blocks(reader))
    except UnreadableDocument:
        raise
    except DependencyError as error:
        raise UnreadableDocument(_ENCRYPTED) from error
    except Exception as error:  # pypdf raises whatever a broken file makes it stumble over
        message = f"it is a PDF that is broken: {type(error).__name__}: {error}"
        raise UnreadableDocument(message[:300]) from error
    if not blocks:
        raise UnreadableDocument(
            "it is a PDF without text; if its pages are pictures, have a text recognised first"
        )
    return blocks


_ENCRYPTED = "it is a PDF that needs a password: save a copy without one"


def _blocks(reader: PdfReader) -> Iterator[Block]:
    outline = _outline(reader)
    path: tuple[str, ...] = ()
    for number, page in enumerate(reader.pages, 1):
        path = outline.get(number, path)
        for paragraph in _paragraphs(page.extract_text()):
            yield Block(paragraph, path, page=number)


def _paragraphs(text: str) -> Iterator[str]:
    """Lines up to one that is blank, or much shorter than the page is wide and ends a sentence."""
    lines = [line.rstrip() for line in text.split("\n")]
    wide = max(map(len, lines), default=0)
    pending: list[str] = []
    for line in lines:
        if line.strip():
            pending.append(line.strip())
        short = len(line) < wide * 2 // 3 and line.endswith(_ENDS)
        if pending and (short or not line.strip()):
            yield _HYPHEN.sub("", "\n".join(pending))
            pending = []
    if pending:
        yield _HYPHEN.sub("", "\n".join(pending))


def _outline(reader: PdfReader) -> dict[int, tuple[str, ...]]:
    """The headings that are in force at the end of each page on which one begins."""
    found: dict[int, tuple[str, ...]] = {}

    def enter(entries: list[Any], path: tuple[str, ...]) -> None:
        own = path
        for entry in entries:
            if isinstance(entry, list):
                if len(own) < DEEPEST:
                    enter(entry, own)
                continue
            own = (*path, heading_of(str(entry.title or "")))
            page = reader.get_destination_page_number(entry)
            if page is not None and page >= 0:
                found.setdefault(page + 1, own)

    try:
        enter(reader.outline, ())
    except Exception:  # noqa: BLE001 - a broken outline is no reason to go without the text
        return {}
    return found
