"""What went wrong with the files, in words that say what to do."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from dovetail_vectorstore.errors import (
    StoreDamaged,
    StoreFull,
    StoreInUse,
    VectorStoreError,
)

if TYPE_CHECKING:
    from pathlib import Path

_KIND = 0xFF
"""What SQLite's extended codes have in common with the plain one."""


def failure(error: Exception, path: Path) -> Exception:
    """What `error` means for the database at `path`; one that is not the database's as it is."""
    if not isinstance(error, sqlite3.Error):
        return error
    code = getattr(error, "sqlite_errorcode", 0)
    made = _meaning(error, code, path)
    made.__cause__ = error
    return made


def damaged_words(folder: Path, collection: str) -> StoreDamaged:
    """What is told when the index of words is damaged, which is made of the texts."""
    return StoreDamaged(
        f"the index of words in `{folder}` is damaged: `dovetail knowledge reindex {collection}` "
        "makes it anew from the texts; if that fails too, put a backup in its place"
    )


def _meaning(error: sqlite3.Error, code: int, path: Path) -> VectorStoreError:
    kind = code & _KIND
    said = f"{error}, {getattr(error, 'sqlite_errorname', 'no code')}"
    if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreDamaged(
            f"`{path}` is damaged ({said}): put a backup in its place, or move its folder away and "
            "add the documents again"
        )
    if kind == sqlite3.SQLITE_FULL:
        return StoreFull(
            f"there is no room left for `{path}` ({said}): make room on its disk, and add the same "
            "again; what was kept is there"
        )
    if kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreInUse(f"`{path}` is locked by another program ({said}): close that")
    if kind in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return VectorStoreError(
            f"`{path}` cannot be opened or written ({said}): see to its folder and its rights"
        )
    if kind == sqlite3.SQLITE_IOERR:
        return VectorStoreError(f"`{path}` cannot be read or written ({said}): see to its disk")
    return VectorStoreError(f"`{path}` cannot do this ({said})")
