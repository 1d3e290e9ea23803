"""Templates: text with references to modules, `@name`, and values, `${name}`.

A reference is `@` and a name, where the `@` does not continue a word: what stands before it is no
letter, digit, mark, `_`, `-`, `+` or `/`, and what follows the name is no `@`. So e-mail addresses
and handles stay as they are. `@{name}` is a reference wherever it stands. Left alone are also

* URLs: from `scheme://` to the next blank;
* decorators: an `@name` that begins its line in fenced code, or in a line that is indented by four
  blanks, or a tab, or more.

`@@` is an `@`, and `$${` is `${`, wherever they stand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from dovetail_modules.names import end_of_name, is_word, normal

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT = 512
"""How many templates stay parsed."""

_MARK = re.compile(
    r"""(?P<at>@@) | (?P<dollar>\$\$\{)
    | (?P<url>(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]*+://(?:[^\s@$]|@(?!@)|\$(?!\$?\{))*+)
    | \$\{\s*+(?P<value>[^\s${}@]++)\s*+\} | @\{\s*+(?P<braced>[^\s${}@]++)\s*+\} | (?P<ref>@)""",
    re.VERBOSE,
)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)", re.DOTALL)
_PLAIN: dict[str | None, str] = {"at": "@", "dollar": "${", "url": ""}
"""What stands for each mark that is only text; nothing for what stays as it is."""
_JOINING = frozenset("-+/")


@dataclass(frozen=True, slots=True)
class Reference:
    """A place where a module's text goes."""

    name: str
    line: int
    """Counted from 1."""
    written: str
    """How it is written."""


@dataclass(frozen=True, slots=True)
class Value:
    """A place where a value goes."""

    path: tuple[str, ...]
    """A name, then keys of what it names."""
    written: str


Piece: TypeAlias = str | Reference | Value


@dataclass(frozen=True, slots=True)
class ParsedTemplate:
    """A template in its pieces."""

    pieces: tuple[Piece, ...]
    references: tuple[str, ...]
    """The names it refers to, each once, in the order of their first places."""

    def line_of(self, name: str) -> int:
        """The line of the first reference to `name`; 1 if there is none."""
        lines = (p.line for p in self.pieces if isinstance(p, Reference) and p.name == name)
        return next(lines, 1)


class TemplateParser:
    """Finds what a template refers to. Templates are parsed once and remembered."""

    def parse_template(self, template: str) -> list[str]:
        """The names of the modules it refers to, each once, in order.

        ``"Hello @greeting, the time is @time_module"`` gives ``["greeting", "time_module"]``.
        """
        return list(self.parse(template).references)

    def parse(self, template: str) -> ParsedTemplate:
        """Its pieces."""
        return _parse(template)

    @staticmethod
    def escape(text: str) -> str:
        """A template that is this text, whatever stands in it."""
        return text.replace("@", "@@").replace("${", "$${")


@lru_cache(maxsize=KEPT)
def _parse(template: str) -> ParsedTemplate:
    if "@" not in template and "${" not in template:
        return ParsedTemplate((template,) if template else (), ())
    pieces: list[Piece] = []
    text: list[str] = []
    for piece in _pieces(template):
        if isinstance(piece, str):
            text.append(piece)
            continue
        if text:
            pieces.append("".join(text))
            text.clear()
        pieces.append(piece)
    if text:
        pieces.append("".join(text))
    names = (piece.name for piece in pieces if isinstance(piece, Reference))
    return ParsedTemplate(tuple(pieces), tuple(dict.fromkeys(names)))


def _pieces(template: str) -> Iterator[Piece]:
    fence = ""
    *lines, last = template.split("\n")
    for number, line in enumerate((*(f"{line}\n" for line in lines), last), 1):
        closed = fence
        fence = _fence_after(line, fence)
        yield from _in_line(line, number, in_code=bool(closed and fence))


def _fence_after(line: str, fence: str) -> str:
    """The fence that is open after `line`, if `fence` is open before it."""
    found = _FENCE.match(line)
    if found is None:
        return fence
    if not fence:
        return "" if "`" in found[1] and "`" in found[2] else found[1]
    closes = found[1].startswith(fence) and not found[2].strip()
    return "" if closes else fence


def _in_line(line: str, number: int, *, in_code: bool) -> Iterator[Piece]:
    done = 0
    for mark in _MARK.finditer(line):
        start = mark.start()
        if start < done:
            continue
        piece, end = _read(line, number, mark, in_code=in_code)
        if end == start:
            continue
        if done < start:
            yield line[done:start]
        yield piece
        done = end
    if done < len(line):
        yield line[done:]


def _read(line: str, number: int, mark: re.Match[str], *, in_code: bool) -> tuple[Piece, int]:
    """The piece that begins with `mark`, and where it ends: at its beginning if it is only text."""
    start, end = mark.span()
    kind = mark.lastgroup
    if kind in _PLAIN:
        return _PLAIN[kind] or mark[0], end
    if kind == "value":
        path = tuple(map(normal, mark["value"].split(".")))
        return (Value(path, mark[0]), end) if all(path) else ("", start)
    if kind == "braced":
        name = mark["braced"]
        whole = end_of_name(name, 0) == len(name)
        return (Reference(normal(name), number, mark[0]), end) if whole else ("", start)
    end = end_of_name(line, end)
    if end == start + 1 or not _stands_free(line, start, end, in_code=in_code):
        return "", start
    return Reference(normal(line[start + 1 : end]), number, line[start:end]), end


def _stands_free(line: str, start: int, end: int, *, in_code: bool) -> bool:
    """Whether the `@` and the name after it are a reference, by what stands around them."""
    if start and (is_word(line[start - 1]) or line[start - 1] in _JOINING):
        return False
    if line[end : end + 1] == "@" and line[end : end + 2] != "@@":
        return False
    before = line[:start]
    if before.strip():
        return True
    return not in_code and len(before.expandtabs(4)) < 4
