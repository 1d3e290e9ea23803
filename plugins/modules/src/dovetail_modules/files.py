"""Modules in files: what stands in one.

* `*.md`: the content, after front matter in TOML between two lines `+++`, which may be missing;
* `*.py`: the script; its metadata is TOML in comments, from `# /// module` to `# ///`;
* `*.toml`: all of it.

A module is called like its file, unless its metadata says otherwise.
"""

from __future__ import annotations

import ast
import re
import tomllib
from typing import TYPE_CHECKING, Any

from dovetail import Problem, validation_problems
from dovetail_modules.definition import ModuleDefinition, ModuleKind
from dovetail_modules.sourced import Broken, SourcedModule

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".md", ".py", ".toml")
LARGEST = 1_000_000
"""Bytes of a file."""

_AT_LINE = re.compile(r"\(at line (\d+), column (\d+)\)")
_BEGIN, _END = "# /// module", "# ///"


class _Wrong(Exception):
    """What keeps a file from being a module."""

    def __init__(self, message: str, line: int | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.hint = hint


def read_module(file: Path) -> SourcedModule | list[Broken]:
    """The module in `file`, or everything that is wrong with it."""
    where = str(file)
    try:
        text = _text(file)
        values, first_meta, first_body = _taken_apart(file, text)
    except _Wrong as wrong:
        place = where if wrong.line is None else f"{where}:{wrong.line}"
        return [Broken(file.stem, Problem(str(wrong), place, wrong.hint))]
    values = {"name": file.stem, **values}
    problems = validation_problems(ModuleDefinition, values)
    if problems:
        lines = text.splitlines()
        return [
            Broken(file.stem, Problem(p.message, _place(where, p.where, lines, first_meta), p.hint))
            for p in problems
        ]
    definition = ModuleDefinition.model_validate(values)
    if definition.kind is ModuleKind.SCRIPT and (line := _bad_line(definition.script)):
        problem = Problem("its script is no Python", f"{where}:{first_body + line - 1}")
        return [Broken(definition.name, problem)]
    return SourcedModule(definition, "folder", where, first_body)


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            raw = opened.read(LARGEST + 1)
    except OSError as error:
        raise _Wrong(f"it cannot be read: {error.strerror or error}") from error
    if len(raw) > LARGEST:
        raise _Wrong(f"it is longer than {LARGEST:,} bytes")
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _Wrong(f"it is not UTF-8: {error.reason}", line, "save it as UTF-8") from error


def _taken_apart(file: Path, text: str) -> tuple[dict[str, Any], int, int]:
    """Its values, and the lines on which its metadata and its content or script begin."""
    if file.suffix == ".toml":
        return _toml(text, 1), 1, 1
    if file.suffix == ".py":
        meta, first = _commented(text)
        return {**_toml(meta, first), "kind": "script", "script": text}, first, 1
    lines = text.split("\n")
    if lines[0].rstrip() == "---":
        message = "its front matter is not TOML"
        raise _Wrong(message, 1, "write it as `key = value`, between two lines `+++`")
    if lines[0].rstrip() != "+++":
        return {"content": text.strip("\n")}, 1, len(text) - len(text.lstrip("\n")) + 1
    ends = [number for number, line in enumerate(lines[1:], 1) if line.rstrip() == "+++"]
    if not ends:
        raise _Wrong("its front matter has no end", 1, "end it with a line `+++`")
    body = lines[ends[0] + 1 :]
    values = _toml("\n".join(lines[1 : ends[0]]), 2)
    if "content" in values:
        raise _Wrong("its content stands below the front matter, not in it", 2)
    content = "\n".join(body).strip("\n")
    first = ends[0] + 2 + next((n for n, line in enumerate(body) if line), 0)
    return {**values, "content": content}, 2, first


def _commented(text: str) -> tuple[str, int]:
    """The metadata in a script's comments, and the line on which it begins."""
    lines = text.split("\n")
    stripped = [line.rstrip() for line in lines]
    if _BEGIN not in stripped:
        return "", 1
    begin = stripped.index(_BEGIN)
    if _END not in stripped[begin + 1 :]:
        raise _Wrong(f"its metadata has no end: a line `{_END}`", begin + 1)
    end = stripped.index(_END, begin + 1)
    meta = []
    for number, line in enumerate(stripped[begin + 1 : end], begin + 2):
        if line != "#" and not line.startswith("# "):
            raise _Wrong("its metadata stands in comments: `# key = value`", number)
        meta.append(line[2:])
    return "\n".join(meta), begin + 2


def _toml(text: str, first: int) -> dict[str, Any]:
    """The values of TOML that begins on line `first`."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _AT_LINE.search(str(error))
        line = first + int(found[1]) - 1 if found else first + text.count("\n")
        message = _AT_LINE.sub("", str(error)).rstrip(" ()").replace(" (at end of document", "")
        raise _Wrong(f"it is no TOML: {message}", line) from error


def _place(where: str, path: str, lines: list[str], first: int) -> str:
    """Where in the file a key stands, as far as that can be seen."""
    key = re.split(r"[.\[]", path)[-1] if path else ""
    written = re.compile(rf"(?:# )?\s*(?:\w+\.)*[\"']?{re.escape(key)}[\"']?\s*=")
    for number, line in enumerate(lines[first - 1 :], first):
        if key and written.match(line):
            return f"{where}:{number} {path}"
    return f"{where}:{first} {path}".rstrip()


def _bad_line(script: str) -> int | None:
    """The line on which a script ceases to be Python, if it does."""
    try:
        ast.parse(script)
    except SyntaxError as error:
        return error.lineno or 1
    except (ValueError, RecursionError, MemoryError):
        return 1
    return None
