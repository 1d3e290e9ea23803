"""The index of vectors in a file beside the database, which can be made anew if it is damaged.

faiss does not notice most damage of what it reads: the file has a checksum before it.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

import faiss

from dovetail_vectorstore.embedded.index import Index

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAGIC = b"dovetail lists 3\n"


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


def save(index: Index, path: Path, belongs: str) -> None:
    """Write `index`, whole or not at all; `belongs` says to which vectors of which store.

    Raises:
        OSError: it cannot be written, such as for want of room.
    """
    new = path.with_suffix(".new")
    try:
        with new.open("wb") as file:
            new.chmod(0o600)
            file.write(MAGIC + b"%08x\n" % 0)
            body = _Checked(file.write)
            body(f"{belongs}\n{index.end}\n{index.added}\n".encode())
            faiss.write_index(index.lists, faiss.PyCallbackIOWriter(body))
            file.seek(len(MAGIC))
            file.write(b"%08x" % body.sum)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def end_of(path: Path) -> int:
    """What is above all numbers in a file; 0 if it does not say."""
    try:
        with path.open("rb") as file:
            head = [file.readline(256) for _ in range(4)]
        return int(head[3]) if head[0] == MAGIC else 0
    except (OSError, ValueError):
        return 0


def load(path: Path, belongs: str, dimension: int) -> Index | None:
    """The index in a file; None if there is none, or one of other vectors.

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
            _, added = int(file.readline(64)), int(file.readline(64))
            lists = faiss.read_index(faiss.PyCallbackIOReader(file.read))
    except (OSError, ValueError, RuntimeError) as error:
        raise BadIndexError(f"it cannot be read: {error}") from error
    if lists.d != dimension:
        raise BadIndexError("its vectors have another dimension")
    return Index(dimension, lists, added)
