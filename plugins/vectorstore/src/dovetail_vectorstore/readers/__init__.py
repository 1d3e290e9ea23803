"""Readers: the blocks of a document, by its format."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from dovetail_vectorstore.documents import Block, UnreadableDocument
from dovetail_vectorstore.readers.code import read_code, read_python
from dovetail_vectorstore.readers.html import read_html
from dovetail_vectorstore.readers.markdown import read_markdown
from dovetail_vectorstore.readers.pdf import read_pdf
from dovetail_vectorstore.readers.text import decode, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    TextReader = Callable[[str], Iterable[Block]]

_CODE = (
    *("c", "h", "cc", "cpp", "cxx", "hpp", "hh", "cs", "java", "kt", "kts", "scala", "swift", "m"),
    *(
        "go",
        "rs",
        "zig",
        "js",
        "mjs",
        "cjs",
        "jsx",
        "ts",
        "tsx",
        "vue",
        "svelte",
        "php",
        "rb",
        "pl",
    ),
    *("lua", "r", "jl", "ex", "exs", "erl", "hs", "ml", "clj", "sh", "bash", "zsh", "ps1", "sql"),
    *("css", "scss", "proto", "graphql", "tf", "toml", "yaml", "yml", "json", "ini", "cfg"),
)
_READERS: dict[str, TextReader] = {
    **dict.fromkeys((".md", ".markdown", ".mdx"), read_markdown),
    **dict.fromkeys((".html", ".htm", ".xhtml"), read_html),
    **dict.fromkeys((".py", ".pyi"), read_python),
    **dict.fromkeys((".txt", ".text", ".rst", ".adoc", ".org", ".tex", ".csv", ".log"), read_text),
    **{f".{suffix}": read_code for suffix in _CODE},
}
SUFFIXES = frozenset({*_READERS, ".pdf"})
"""The endings of names that are read where a whole folder is."""


def read_document(data: bytes, name: str, *, encoding: str = "utf-8") -> list[Block]:
    """The blocks of a document, in order; `name` is its file's, whose ending tells the format.

    Text of an unknown ending is read as plain text, and what begins like a PDF as a PDF.
    `encoding` is that of texts that are not UTF-8.

    Raises:
        UnreadableDocument: it is empty, broken, encrypted, or not what its name says.
    """
    if not data.strip():
        raise UnreadableDocument("it is empty")
    if PurePath(name).suffix.lower() == ".pdf" or data.startswith(b"%PDF-"):
        return read_pdf(data)
    blocks = blocks_of(decode(data, encoding), name)
    if not blocks:
        raise UnreadableDocument("there is nothing to read in it")
    return blocks


def blocks_of(text: str, name: str) -> list[Block]:
    """The blocks of a text, by the ending of `name`; none if there is nothing to read in it."""
    return list(_READERS.get(PurePath(name).suffix.lower(), read_text)(text))
