"""Modules in a folder, read again when their files change."""

from __future__ import annotations

import os
import stat
import threading
from typing import TYPE_CHECKING, NamedTuple

from dovetail import Problem
from dovetail_modules.files import SUFFIXES, read_module
from dovetail_modules.sourced import Broken, SourcedModule

if TYPE_CHECKING:
    from pathlib import Path

MOST_FILES = 10_000


class _Seen(NamedTuple):
    """A file as it was when it was read."""

    mark: tuple[int, int, int]
    found: SourcedModule | list[Broken]


class ModuleFolder:
    """The files of one folder; those below it, hidden ones and other kinds are left alone."""

    def __init__(self, folder: Path, *, needed: bool) -> None:
        self.folder = folder
        self._needed = needed
        """Whether it is a problem if it is not there."""
        self._seen: dict[str, _Seen] = {}
        self._problem: Problem | None = None
        self._looking = threading.Lock()

    def look(self) -> bool:
        """Read what has changed since the last time; whether anything had. It does I/O."""
        with self._looking:  # one that nobody waits for any more may still be at it
            return self._look()

    def _look(self) -> bool:
        before, self._problem = self._problem, None
        marks = self._marks()
        changed = self._problem != before
        for name in self._seen.keys() - marks.keys():
            del self._seen[name]
            changed = True
        for name, mark in marks.items():
            known = self._seen.get(name)
            if known is None or known.mark != mark:
                self._seen[name] = _Seen(mark, read_module(self.folder / name))
                changed = True
        return changed

    def modules(self) -> tuple[list[SourcedModule], list[Broken]]:
        """What was read, in the order of the files' names."""
        found: dict[str, SourcedModule] = {}
        broken = [Broken("", self._problem)] if self._problem else []
        for _, seen in sorted(self._seen.items()):
            if isinstance(seen.found, list):
                broken += seen.found
                continue
            name = seen.found.definition.name
            known = found.setdefault(name, seen.found)
            if known is not seen.found:
                message = f"there is a module `{name}` already, in {known.where}"
                broken.append(Broken("", Problem(message, seen.found.where, "rename one")))
        return list(found.values()), broken

    def _marks(self) -> dict[str, tuple[int, int, int]]:
        """What tells of each file whether it has changed."""
        marks: dict[str, tuple[int, int, int]] = {}
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or not entry.name.endswith(SUFFIXES):
                        continue
                    mark = _mark(entry)
                    if mark is None:
                        continue
                    if len(marks) == MOST_FILES:
                        self._complain(f"it has more than {MOST_FILES:,} modules")
                        break
                    marks[entry.name] = mark
        except FileNotFoundError:
            if self._needed:
                self._complain("there is no such folder")
        except OSError as error:
            self._complain(f"it cannot be read: {error.strerror or error}")
        return marks

    def _complain(self, message: str) -> None:
        self._problem = Problem(message, str(self.folder), "see `folder` of [plugins.modules]")


def _mark(entry: os.DirEntry[str]) -> tuple[int, int, int] | None:
    """What tells whether it has changed; None for what is no file: a pipe keeps who reads it."""
    try:
        found = entry.stat()
    except OSError:  # a link to nothing or to itself, or gone: reading it will say so
        return 0, 0, 0
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
