"""Finding the line a key was written on.

TOML parsers give no places for a file that is valid. A statement ends with the first line at which
everything since its start parses; so the file is cut into statements, and each is parsed alone.
This is slow beside parsing once and only done to explain or to complain.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from dovetail.config.places import KeyPath

# A statement that goes on over several lines can only end on a line that holds one of these.
_CLOSERS = ("]", "}", '"""', "'''")


def line_index(text: str) -> dict[KeyPath, int]:
    """The line, from 1, on which each key, table and list item of a valid file begins.

    An item of a list that goes over several lines counts as beginning with its list.
    """
    lines: dict[KeyPath, int] = {}
    lengths: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, statement, content in _statements(text):
        if statement.lstrip().startswith("["):
            table = _enter(content, lengths)
            for end in range(1, len(table)):
                lines.setdefault(table[:end], number)
            # The header itself says more than an earlier `[table.below]` that implied it.
            lines[table] = number
        else:
            _note(content, table, number, lines)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, object]]]:
    """Line number, text and content of each statement; comments and blank lines are none."""
    import tomllib

    start, pending = 0, ""
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if pending and not any(closer in line for closer in _CLOSERS):
            pending += f"\n{line}"
            continue
        start, pending = (start, f"{pending}\n{line}") if pending else (number, line)
        try:
            content = tomllib.loads(pending)
        except tomllib.TOMLDecodeError:
            continue
        if content:
            yield start, pending, content
        pending = ""


def _enter(header: dict[str, object], lengths: dict[KeyPath, int]) -> KeyPath:
    """The path a parsed `[a.b]` or `[[a.b]]` leads to; `lengths` counts the `[[…]]` so far."""
    path: KeyPath = ()
    content: object = header
    while isinstance(content, dict) and content:
        key, content = next(iter(content.items()))
        path = (*path, key)
        if isinstance(content, list):
            lengths[path] = lengths.get(path, 0) + 1
        if path in lengths:
            path = (*path, lengths[path] - 1)
    return path


def _note(content: object, path: KeyPath, number: int, lines: dict[KeyPath, int]) -> None:
    """Remember `number` for everything in `content` that has no line yet."""
    items: list[tuple[str | int, object]] = []
    if isinstance(content, dict):
        items = list(content.items())
    elif isinstance(content, list):
        items = list(enumerate(content))
    for key, value in items:
        lines.setdefault((*path, key), number)
        _note(value, (*path, key), number, lines)
