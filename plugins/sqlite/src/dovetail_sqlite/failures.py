"""What went wrong with the file, in words that say what to do."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from dovetail import NotReady, PluginError
from dovetail_sqlite.migrations import ForeignTablesError, NewerSchemaError

if TYPE_CHECKING:
    from pathlib import Path

_KIND = 0xFF
"""What SQLite's extended codes have in common with the plain one."""
_AWAY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
_BROKEN = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_READONLY,
}

_LOCKED = (
    "was locked by another process for all of `busy_timeout`: see what else writes to it, or set "
    "that higher"
)
_WORDS = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_FULL: "has no room left ({said}): make room on its disk, and try again",
    sqlite3.SQLITE_NOTADB: "is no SQLite database: name another file in `path`, or move it away",
    sqlite3.SQLITE_CORRUPT: "is damaged ({said}): put a backup in its place, or save what can be "
    'saved with `sqlite3 FILE ".recover"`',
    sqlite3.SQLITE_IOERR: "cannot be read or written ({said}): see to its disk",
}


class DatabaseError(PluginError):
    """The database cannot do what it was asked."""


class DatabaseAway(DatabaseError, NotReady):
    """It cannot now: it is locked, gone or out of order, which may pass."""


def failure(error: Exception, path: Path) -> Exception:
    """What `error` means for the database at `path`; one that is not the database's as it is."""
    meaning: DatabaseError
    if isinstance(error, sqlite3.Error):
        kind = getattr(error, "sqlite_errorcode", 0) & _KIND
        away = kind in _AWAY and not _hopeless(path)
        meaning = (DatabaseAway if away else DatabaseError)(_words(kind, error, path))
    elif isinstance(error, FileNotFoundError):
        meaning = DatabaseAway(
            f"`{path}` is gone since it was opened: put it back, or restart to begin a new one"
        )
    elif isinstance(error, OSError):
        meaning = DatabaseError(f"`{path}` cannot be used: {error.strerror or error}")
    elif isinstance(error, NewerSchemaError):
        meaning = DatabaseError(
            f"`{path}` was made by a newer version of dovetail-sqlite ({error}): "
            "install that version, or name another file in `path`"
        )
    elif isinstance(error, ForeignTablesError):
        meaning = DatabaseError(
            f"`{path}` is another program's database ({error}): name another file in `path`"
        )
    elif isinstance(error, (OverflowError, UnicodeEncodeError)):
        meaning = DatabaseError(f"`{path}` cannot hold this: {error}")
    else:
        return error
    meaning.__cause__ = error
    return meaning


def breaks(error: Exception) -> bool:
    """Whether a connection is of no use any more after `error`.

    One to a file that is gone may be: the file may come back.
    """
    return getattr(error, "sqlite_errorcode", 0) & _KIND in _BROKEN


def _hopeless(path: Path) -> bool:
    """Whether `path` cannot hold a file, or may not be opened: waiting does not mend that."""
    folder = path.parent
    if _is_folder(path) or not _is_folder(folder) or not os.access(folder, os.W_OK | os.X_OK):
        return True
    return os.access(path, os.F_OK) and not os.access(path, os.R_OK | os.W_OK)


def _is_folder(path: Path) -> bool:
    with suppress(OSError):  # one that may not be looked at
        return path.is_dir()
    return False


def _words(kind: int, error: sqlite3.Error, path: Path) -> str:
    if kind in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        return _closed(path, error)
    said = f"{error}, {getattr(error, 'sqlite_errorname', 'no code')}"
    return f"`{path}` {_WORDS.get(kind, 'cannot do this ({said})').format(said=said)}"


def _closed(path: Path, error: sqlite3.Error) -> str:
    folder = path.parent
    if _is_folder(path):
        return f"`{path}` is a folder: name a file in `path`"
    if not _is_folder(folder):
        return f"`{path}` cannot be made, for there is no folder `{folder}`: make it"
    if not os.access(folder, os.W_OK | os.X_OK):
        return (
            f"`{path}` needs a folder that may be written, for SQLite puts files beside it: "
            f"let this user write to `{folder}`"
        )
    if os.access(path, os.F_OK) and not os.access(path, os.R_OK | os.W_OK):
        return f"`{path}` may not be both read and written: give this user the right to"
    return f"`{path}` cannot be opened or written: {error}"
