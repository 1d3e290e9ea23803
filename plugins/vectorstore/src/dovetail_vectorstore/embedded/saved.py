"""The index of vectors in a file beside the database, which can be made anew if it is damaged.

faiss does not notice most damage of what it reads: the file has a checksum before it.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

import faiss

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAGIC = b"dovetail lists 2\n"


class BadIndexError(Exception):
    """The file cannot be used; the message says why."""


class _Checked:
    """Hands bytes on, and keeps their checksum."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self.sum = 0

    def __call__(self, part: bytes) -> None:
        self.sum = zlib.crc32(part, self.sum)
        self._write(part)


def save(lists: faiss.IndexIVFFlat, path: Path, belongs: str) -> None:
    """Write `lists`, whole or not at all; `belongs` says to which vectors of which store.

    Raises:
        OSError: it cannot be written, such as for want of room.
    """
    new = path.with_suffix(".new")
    try:
        with new.open("wb") as file:
            new.chmod(0o600)
            file.write(MAGIC + b"%08x\n" % 0)
            body = _Checked(file.write)
            body(belongs.encode() + b"\n")
            faiss.write_index(lists, faiss.PyCallbackIOWriter(body))
            file.seek(len(MAGIC))
            file.write(b"%08x" % body.sum)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def load(path: Path, belongs: str) -> faiss.IndexIVFFlat | None:
    """The lists in a file; None if there is none, or one of other vectors.

    Raises:
        BadIndexError: it is damaged.
    """
    if not path.exists():
        return None
    try:
        with path.open("rb") as file:
            if file.readline(64) != MAGIC:
                raise BadIndexError("it does not begin as an index does")
            right, body = int(file.readline(64), 16), file.tell()
            found = 0
            while part := file.read(1 << 20):
                found = zlib.crc32(part, found)
            if found != right:
                raise BadIndexError("it is not what was written")
            file.seek(body)
            if file.readline(256).decode().rstrip("\n") != belongs:
                return None
            return faiss.read_index(faiss.PyCallbackIOReader(file.read))
    except (OSError, ValueError, RuntimeError) as error:
        raise BadIndexError(f"it cannot be read: {error}") from error
