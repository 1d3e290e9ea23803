"""HTML: what a reader of the page would see, under its headings."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

from dovetail_vectorstore.documents import Block, heading_of

if TYPE_CHECKING:
    from collections.abc import Iterator

# Not `html.parser`, which takes hours for a page of some megabytes that is broken in the right way.
# Each alternative goes on to the next `<` at most, or over all that it looked at.
_ATTRIBUTES = r"""(?:[^<>"']|"[^"<]*+"|'[^'<]*+'|["'])*+"""
_TOKEN = re.compile(
    rf"""<!--.*?(?:-->|\Z)
    | <!\[CDATA\[(?P<cdata>.*?)(?:\]\]>|\Z)
    | <(?P<raw>script|style|iframe|textarea)\b{_ATTRIBUTES}(?<!/)>.*?(?:</(?P=raw)\s*>|\Z)
    | <(?P<end>/)?(?P<tag>[a-z][a-z0-9]*)\b{_ATTRIBUTES}>
    | <[!?/]{_ATTRIBUTES}>""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_UNSEEN = {"script", "style", "noscript", "template", "svg", "math", "nav", "iframe", "object"}
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = {
    *("address", "article", "aside", "blockquote", "body", "caption", "dd", "details", "dialog"),
    *("div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "head", "header"),
    *("hr", "html", "legend", "main", "ol", "p", "pre", "section", "summary", "table", "title"),
    *("ul", *_HEADINGS),
}
_LINES = {"br": "\n", "li": "\n- ", "tr": "\n"}
_CELLS = {"td", "th"}
_SPACES = re.compile(r"\s+")


def read_html(text: str) -> Iterator[Block]:
    """The blocks of a page; scripts, styles and navigation are not among them.

    Broken HTML is read as far as it goes. The page's title stands above all headings, unless it
    says the same as the first.
    """
    reader = _Reader()
    place = 0
    for token in _TOKEN.finditer(text):
        reader.text(text[place : token.start()])
        reader.token(token)
        place = token.end()
    reader.text(text[place:])
    reader.end_block()
    return iter(reader.blocks)


class _Reader:
    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._path: list[tuple[int, str]] = []
        self._text: list[str] = []
        self._blank = True
        """Whether there is nothing but white space in the text so far."""
        self._here = self._line = 1
        """The line it is at, and the one on which the text begins."""
        self._unseen, self._depth = "", 0
        """What hides everything, and how many of these are in one another."""
        self._kind = ""
        """`title`, `pre` or a heading, while in one."""

    def token(self, token: re.Match[str]) -> None:
        tag = (token["tag"] or "").lower()
        if token["cdata"] is not None:
            self.text(token["cdata"])
        elif tag in _UNSEEN and not token[0].endswith("/>"):
            self._hide(tag, ends=bool(token["end"]))
        elif tag and not self._unseen:
            if token["end"]:
                self._end(tag)
            else:
                self._start(tag)
        if token["cdata"] is None:
            self._here += token[0].count("\n")

    def text(self, text: str) -> None:
        """Text between two tags."""
        line, self._here = self._here, self._here + text.count("\n")
        if self._unseen or not text:
            return
        text = unescape(text)
        if self._blank and (words := text.lstrip()):
            self._line = line + text.count("\n", 0, len(text) - len(words))
            self._blank = False
        self._text.append(text if self._kind == "pre" else _SPACES.sub(" ", text))

    def end_block(self) -> None:
        """What was gathered is a block, or a heading."""
        text, kind, blank = "".join(self._text), self._kind, self._blank
        self._text, self._kind, self._blank = [], "", True
        if blank:
            return
        if kind == "pre":
            text = text.strip("\n").rstrip()
        else:
            lines = (" ".join(line.split()) for line in text.split("\n"))
            text = "\n".join(line for line in lines if line not in {"", "-"})
        if kind == "title":
            self._path = [(0, heading_of(text))]
        elif kind in _HEADINGS:
            self._enter(_HEADINGS[kind], heading_of(text))
        else:
            path = tuple(words for _, words in self._path)
            self.blocks.append(Block(text, path, self._line, code=kind == "pre"))

    def _hide(self, tag: str, *, ends: bool) -> None:
        if self._unseen in {"", tag}:
            self._depth = max(self._depth + (-1 if ends else 1), 0)
            self._unseen = tag if self._depth else ""

    def _start(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.end_block()
            if tag in {"title", "pre"} or tag in _HEADINGS:
                self._kind = tag
        elif tag in _LINES:
            self._text.append(_LINES[tag])
        elif tag in _CELLS and self._text and self._text[-1].strip():
            self._text.append(" | ")

    def _end(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.end_block()

    def _enter(self, level: int, heading: str) -> None:
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        if self._path and self._path[-1][1] == heading:
            self._path.pop()
        self._path.append((level, heading))
