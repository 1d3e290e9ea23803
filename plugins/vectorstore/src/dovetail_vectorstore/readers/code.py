"""Source code: functions and classes."""

from __future__ import annotations

import ast
import re
import warnings
from itertools import pairwise
from typing import TYPE_CHECKING

from dovetail_vectorstore.documents import Block, heading_of
from dovetail_vectorstore.readers.text import paragraphs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_Named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
LONG_CLASS = 40
"""Lines from which on each method of a class is a block of its own."""
LARGEST_TREE = 2_000_000
"""Characters of Python that are parsed; a tree takes a hundred times the memory of its text."""
# A line that is not indented and names what begins there, in the languages with braces or `end`.
_DECLARATION = re.compile(
    r"(?:(?:export|default|pub(?:\([^)]*\))?|public|private|protected|internal|static|abstract|"
    r"final|sealed|async|unsafe|extern|inline|const|open|override|data|local|partial)\s+)*"
    r"(?:function\*?|func|fun|fn|def|class|interface|struct|enum|trait|impl|module|namespace|type|"
    r"object|record|protocol|extension|macro_rules!|sub|proc|CREATE\s+\w+)"
    r"(?:\s*<[^>]*>|\s*\([^)]*\))?\s+([\w:.$~<>]+)",
    re.IGNORECASE,
)


def read_python(text: str) -> Iterator[Block]:
    """Each function and class of a Python module; what cannot be parsed is read as other code."""
    if len(text) > LARGEST_TREE:
        return read_code(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the code that is read, not ours
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return read_code(text)
    return _body(text.split("\n"), tree.body, (), 1)


def _body(
    lines: list[str], body: Sequence[ast.stmt], path: tuple[str, ...], first: int
) -> Iterator[Block]:
    """The blocks of a module's or class's body, from line `first` on."""
    for node in body:
        if not isinstance(node, _Named):
            continue
        start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
        end = node.end_lineno or node.lineno
        yield from _block(lines, path, first, start - 1)
        name = (*path, node.name)
        if isinstance(node, ast.ClassDef) and end - start >= LONG_CLASS:
            yield from _body(lines[:end], node.body, name, start)
        else:
            yield from _block(lines, name, start, end)
        first = end + 1
    yield from _block(lines, path, first, len(lines))


def _block(lines: list[str], path: tuple[str, ...], first: int, last: int) -> Iterator[Block]:
    """Lines `first` to `last` as they stand there."""
    while first <= last and not lines[first - 1].strip():
        first += 1
    text = "\n".join(lines[first - 1 : last]).rstrip()
    if text:
        yield Block(text, tuple(map(heading_of, path)), first, code=True)


def read_code(text: str) -> Iterator[Block]:
    """The declarations of any other language that stand at the beginning of a line."""
    lines = text.split("\n")
    found = [(n, m[1]) for n, line in enumerate(lines, 1) if (m := _DECLARATION.match(line))]
    if not found:
        for block in paragraphs(text):
            yield Block(block.text, (), block.line, code=True)
        return
    starts = [(_with_comment(lines, number), name) for number, name in found]
    yield from _block(lines, (), 1, starts[0][0] - 1)
    for (start, name), (end, _) in pairwise([*starts, (len(lines) + 1, "")]):
        yield from _block(lines, (name,), start, end - 1)


def _with_comment(lines: list[str], number: int) -> int:
    """The first of the lines right above line `number` that comment or mark what begins there."""
    while number > 1 and lines[number - 2].startswith(("//", "/*", " *", "*", "#", "--", "@", ";")):
        number -= 1
    return number
