"""Finding and reading the config files."""

from __future__ import annotations

import os
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
        from dovetail.config.syntax import describe_syntax

        place, message, hint = describe_syntax(text, error)
        return Problem(message, f"{shown(path)}{place}", hint)
