"""What documents are made of on their way into the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dovetail import DovetailError

LONGEST_HEADING = 200
"""Characters that are kept of a heading."""


class UnreadableDocument(DovetailError):
    """A document cannot be read; the message says why and what can be done."""


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a list, a table, a function: what a document's author wrote in one go."""

    text: str
    headings: tuple[str, ...] = ()
    """The headings above it, the outermost first."""
    line: int | None = None
    """The line it begins on, from 1; None where a format has no lines."""
    page: int | None = None
    """The page it stands on, from 1; None where a format has no pages."""
    code: bool = False
    """Whether its lines must stay as they are."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a document that is embedded and found as one."""

    body: str
    headings: tuple[str, ...] = ()
    line: int | None = None
    end_line: int | None = None
    page: int | None = None
    end_page: int | None = None
    shown: bool = True
    """Whether `text` begins with the headings; they can be too long for that."""

    @property
    def text(self) -> str:
        """The body under its headings: alone it would often not say what it is about."""
        if not self.headings or not self.shown:
            return self.body
        path = " > ".join(self.headings)
        return f"{path}\n\n{self.body}" if self.body else path

    @property
    def place(self) -> dict[str, Any]:
        """Where it stands in its document, as metadata."""
        known = {
            "headings": list(self.headings),
            "line": self.line,
            "end_line": self.end_line,
            "page": self.page,
            "end_page": self.end_page,
        }
        return {key: value for key, value in known.items() if value not in (None, [])}


def heading_of(text: str) -> str:
    """A heading on one line, of a length that can stand above every chunk."""
    words = " ".join(text.split())
    return words if len(words) <= LONGEST_HEADING else words[: LONGEST_HEADING - 1] + "…"
