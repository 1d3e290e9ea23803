"""Finding and reading the config files."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dovetail.config.locate import line_index
from dovetail.errors import Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from dovetail.config.places import KeyPath

    FileLayer = Literal["project", "user"]

FILE_NAME = "dovetail.toml"
MAX_BYTES = 1 << 20
"""A file longer than this is not a config."""

_KEY = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_ASSIGNMENT = re.compile(rf"\s*{_KEY}(?:\s*\.\s*{_KEY})*\s*=")
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


class ConfigFile:
    """A config file as it was read: `path`, `layer` ("project" or "user") and `text`."""

    __slots__ = ("_lines", "layer", "path", "text")

    def __init__(self, path: Path, layer: FileLayer, text: str) -> None:
        self.path = path
        self.layer = layer
        self.text = text
        self._lines: dict[KeyPath, int] | None = None

    def __repr__(self) -> str:
        """Without the text: it may hold secrets."""
        return f"ConfigFile({str(self.path)!r}, {self.layer!r})"

    @property
    def fingerprint(self) -> str:
        """Differs when the text does."""
        import hashlib

        return hashlib.sha256(self.text.encode()).hexdigest()

    def line(self, path: KeyPath) -> int | None:
        """The line, from 1, of the key or of the nearest table around it that is in this file."""
        if self._lines is None:
            self._lines = line_index(self.text)
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[:-1]
        return None


def find_project_file() -> Path | None:
    """The nearest `dovetail.toml`, from the current folder up to the root of the filesystem."""
    try:
        folder = Path.cwd()
    except FileNotFoundError:  # the current folder was deleted
        return None
    for candidate in (folder, *folder.parents):
        file = candidate / FILE_NAME
        if os.path.lexists(file):  # a dangling link is somebody's mistake and shall be reported
            return file
    return None


def user_file_path(env: Mapping[str, str]) -> Path:
    """Where the user's own file is, if there is one."""
    if home := env.get("DOVETAIL_CONFIG_HOME"):
        return Path(home) / "config.toml"
    # The XDG Base Directory Specification says to ignore a path that is not absolute.
    if (xdg := env.get("XDG_CONFIG_HOME")) and Path(xdg).is_absolute():
        return Path(xdg) / "dovetail" / "config.toml"
    return Path(env.get("HOME") or os.path.expanduser("~")) / ".config/dovetail/config.toml"  # noqa: PTH111 - Path.expanduser raises where there is no home


def shown(path: Path) -> str:
    """`path` as briefly as it is still clear: from the current folder where it lies below it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except (ValueError, FileNotFoundError):
        return str(path)


def read_file(path: Path, layer: FileLayer) -> tuple[ConfigFile, dict[str, object]] | Problem:
    """The file and what it says, or what is wrong with it."""
    import tomllib

    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except IsADirectoryError:
        return Problem("is a folder; a config file was expected", shown(path))
    except OSError as error:
        return Problem(f"cannot be read: {error.strerror}", shown(path))
    if len(content) > MAX_BYTES:
        return Problem(f"is longer than {MAX_BYTES >> 20} MiB; not a config file", shown(path))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Problem(
            f"is not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start}",
            f"{shown(path)}:{line}",
            "save the file as UTF-8",
        )
    try:
        return ConfigFile(path, layer, text), tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: a number of too many digits
        return _syntax_problem(path, text, error)


def _syntax_problem(path: Path, text: str, error: Exception) -> Problem:
    """What tomllib says about `text`, with the line where it may be shown."""
    lines = text.replace("\r\n", "\n").split("\n")
    message = str(error) if isinstance(error, ValueError) else "nested too deeply"
    place = _PLACE.search(message)
    if not place:
        return Problem(f"is not valid TOML: {message}", shown(path))
    reason = message[: place.start()]
    if not place[1]:
        return Problem(
            f"is not valid TOML: {reason} at the end of the file",
            f"{shown(path)}:{len(lines)}",
            "a quote or bracket is not closed",
        )
    number, column = int(place[1]), int(place[2])
    hint = f"the line is: {lines[number - 1].strip()}" if _showable(lines, number) else ""
    return Problem(f"is not valid TOML: {reason}", f"{shown(path)}:{number}:{column}", hint)


def _showable(lines: list[str], number: int) -> bool:
    """Whether a line holds nothing secret, and nor does the key or table it belongs to."""
    from dovetail.redaction import looks_secret, redact

    line = lines[number - 1]
    before = "\n".join(lines[:number])
    in_long_string = any(before.count(quotes) % 2 for quotes in ('"""', "'''"))
    if len(line) > 200 or in_long_string or redact(line) != line:
        return False
    in_statement = True
    for earlier in reversed(lines[:number]):
        is_header = earlier.lstrip().startswith("[")
        key = earlier.partition("=")[0]
        if (in_statement or is_header) and any(map(looks_secret, (key, *key.split()))):
            return False
        if is_header:
            break
        in_statement = in_statement and not _ASSIGNMENT.match(earlier)
    return True
