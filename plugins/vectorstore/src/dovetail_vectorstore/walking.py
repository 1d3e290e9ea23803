"""Finding the files that are to be read."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from dovetail_vectorstore.documents import UnreadableDocument
from dovetail_vectorstore.ingested import Failed
from dovetail_vectorstore.preparing import clean
from dovetail_vectorstore.readers import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LEFT_OUT = ("__pycache__", "node_modules", "site-packages", "venv", "*.egg-info")
"""Folders that nobody wrote by hand; so are those whose names begin with a dot."""


_TWICE = "another file has the same name but for bytes that are no text: rename one of the two"


@dataclass(frozen=True, slots=True)
class File:
    """A file to read."""

    path: Path
    source: str
    """What it is called in the store."""
    size: int
    """Bytes."""


def source_of(path: Path, base: Path) -> str:
    """What a file is called: its path from `base`, with slashes, or all of it if it is elsewhere.

    Links are not followed for it, so that it is what the user wrote. Bytes in it that are no text
    are U+FFFD, as in the store.
    """
    whole = PurePath(clean(os.path.abspath(base / path)))  # noqa: PTH100 - `resolve` follows links
    try:
        return whole.relative_to(clean(os.path.abspath(base))).as_posix()  # noqa: PTH100 - as above
    except ValueError:
        return whole.as_posix()


def is_in(source: str, top: str) -> bool:
    """Whether a document is `top` or stands in it, both as they are called in the store."""
    if top == ".":  # what is elsewhere is called by its whole path
        return not PurePath(source).is_absolute()
    return source == top or (bool(top) and source.startswith(f"{top.rstrip('/')}/"))


def walk(paths: Iterable[Path], base: Path, exclude: Iterable[str]) -> Iterator[File | Failed]:
    """The files among `paths`, and those in folders among them that some reader knows, each once.

    A file that is named is always given. Links to folders are not followed, as they can lead round
    in circles; hidden files and folders are left out.
    """
    patterns = tuple(pattern.rstrip("/") for pattern in exclude)
    seen: dict[str, str] = {}
    for path in paths:
        top = base / path
        found = _folder(top, base, patterns) if top.is_dir() else _file(top, base)
        for one in found:
            where = os.path.abspath(one.path) if isinstance(one, File) else ""  # noqa: PTH100 - as above
            before = seen.get(one.source)
            if before is None:
                seen[one.source] = where
                yield one
            elif before and where and before != where:
                yield Failed(one.source, _TWICE)


def read_file(file: File, largest: int) -> bytes:
    """All that is in `file`, if that is at most `largest` bytes.

    Raises:
        UnreadableDocument: it is larger, or the system does not let us.
    """
    data = b""
    if file.size <= largest:
        try:
            with file.path.open("rb") as opened:
                data = opened.read(largest + 1)  # it may have grown since it was found
        except OSError as error:
            raise UnreadableDocument(_why(error)) from error
    if max(file.size, len(data)) > largest:
        raise UnreadableDocument(
            f"it has {max(file.size, len(data)) / 1e6:,.1f} MB, and `max_file_mb` is "
            f"{largest / 1e6:g}: raise it, or cut the file into parts"
        )
    return data


def gone(path: Path) -> bool:
    """Whether there is nothing at `path`; not if that cannot be told."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _folder(top: Path, base: Path, patterns: tuple[str, ...]) -> Iterator[File | Failed]:
    failed: list[OSError] = []
    for folder, folders, names in os.walk(top, onerror=failed.append):
        here = Path(folder)
        folders[:] = sorted(f for f in folders if _wanted(here / f, base, (*LEFT_OUT, *patterns)))
        for name in sorted(names):
            path = here / name
            if path.suffix.lower() in SUFFIXES and _wanted(path, base, patterns):
                yield from _file(path, base)
    for error in failed:
        yield Failed(source_of(Path(error.filename), base), _why(error))


def _wanted(path: Path, base: Path, patterns: tuple[str, ...]) -> bool:
    source = source_of(path, base)
    return not path.name.startswith(".") and not any(
        fnmatch(path.name, pattern) or fnmatch(source, pattern) for pattern in patterns
    )


def _file(path: Path, base: Path) -> Iterator[File | Failed]:
    source = source_of(path, base)
    try:
        known = path.stat()
    except OSError as error:
        yield Failed(source, _why(error))
        return
    if stat.S_ISREG(known.st_mode):
        yield File(path, source, known.st_size)
    else:
        yield Failed(source, "it is no file, but something like a device or a pipe")


def _why(error: OSError) -> str:
    return f"it cannot be read: {error.strerror or error}"
