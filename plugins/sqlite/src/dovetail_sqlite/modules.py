"""Versions of modules, for plugin `modules`: its `ModuleRepository` in a SQLite file."""

from __future__ import annotations

import asyncio
from functools import partial
from secrets import randbits
from typing import TYPE_CHECKING, TypeAlias

from dovetail import ContextAwareService
from dovetail_sqlite.database import Database
from dovetail_sqlite.migrations import Schema
from dovetail_sqlite.reading import present
from dovetail_sqlite.rows import moment
from dovetail_sqlite.settings import SqliteSettings

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from datetime import datetime

    from dovetail import SmartDependencyContainer

Row: TypeAlias = "tuple[str, int, datetime, str | None]"

_FIRST = (
    # `change` is a random number that tells one write apart from any other, should it be tried
    # twice. A deletion is a version without a document.
    """
    CREATE TABLE modules (
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        written_at INTEGER NOT NULL,
        document TEXT,
        change INTEGER NOT NULL,
        PRIMARY KEY (name, version)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE modules_revision (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER)",
    "INSERT INTO modules_revision VALUES (1, 0)",
)
MODULES = Schema("modules", (_FIRST,))


class SqliteModules(ContextAwareService):
    """Keeps versions of documents by name; the file is opened when it is first needed."""

    name = "sqlite_modules"
    settings: SqliteSettings

    def __init__(self, dependency_container: SmartDependencyContainer | None = None) -> None:
        super().__init__(dependency_container)
        self._database: Database | None = None
        self._opening = asyncio.Lock()

    async def stop(self) -> None:
        """Close the file."""
        database, self._database = self._database, None
        if database is not None:
            await database.close()

    async def append(
        self, name: str, version: int, document: str | None, *, keep: int = 100
    ) -> datetime | None:
        """Keep `document` as the `version` of `name`, if that is the one after its latest."""
        database = await self._open()
        work = partial(
            _append, name=name, version=version, document=document, keep=keep, change=randbits(62)
        )
        written = await database.write(work)
        return None if written is None else moment(written)

    async def latest(self, *, after: str = "", limit: int = 100) -> Sequence[Row]:
        """The latest version of each name that is not deleted, by name."""
        database = await self._open()
        return await database.read(partial(_latest, after=after, limit=limit))

    async def versions(self, name: str, *, limit: int = 100) -> Sequence[Row]:
        """The latest versions of a name, the newest first, deletions too."""
        database = await self._open()
        return await database.read(partial(_versions, name=name, limit=limit))

    async def read(self, name: str, version: int | None = None) -> Row | None:
        """A version of a name, the latest if none is said."""
        database = await self._open()
        return await database.read(partial(_read, name=name, version=version))

    async def revision(self) -> int:
        """A number that grows with every `append` that succeeded."""
        database = await self._open()
        return await database.read(_revision)

    async def _open(self) -> Database:
        async with self._opening:
            if self._database is None:
                options = self.settings
                database = Database(
                    options.path,
                    [MODULES],
                    synchronous=options.synchronous,
                    busy_timeout=options.busy_timeout,
                )
                await database.open()
                self._database = database
        return self._database


_COLUMNS = "SELECT name, version, written_at, document FROM modules"


def _append(
    connection: sqlite3.Connection,
    *,
    name: str,
    version: int,
    document: str | None,
    keep: int,
    change: int,
) -> int | None:
    tried = connection.execute(
        "SELECT written_at FROM modules WHERE name = ? AND version = ? AND change = ?",
        (name, version, change),
    ).fetchone()
    if tried is not None:
        return int(tried[0])  # it was kept, only nobody was told
    now = present()
    done = connection.execute(
        "INSERT INTO modules SELECT ?, ?, ?, ?, ? "
        "WHERE ? = (SELECT coalesce(max(version), 0) + 1 FROM modules WHERE name = ?)",
        (name, version, now, document, change, version, name),
    )
    if done.rowcount != 1:
        return None
    connection.execute(
        "DELETE FROM modules WHERE name = ? AND version <= ?", (name, version - keep)
    )
    connection.execute("UPDATE modules_revision SET count = count + 1")
    return now


def _latest(connection: sqlite3.Connection, *, after: str, limit: int) -> list[Row]:
    rows = connection.execute(
        f"{_COLUMNS} AS m WHERE name > ? AND document IS NOT NULL AND version = "  # noqa: S608 - our own words
        "(SELECT max(version) FROM modules WHERE name = m.name) ORDER BY name LIMIT ?",
        (after, limit),
    )
    return [_row(row) for row in rows]


def _versions(connection: sqlite3.Connection, *, name: str, limit: int) -> list[Row]:
    rows = connection.execute(
        f"{_COLUMNS} WHERE name = ? ORDER BY version DESC LIMIT ?", (name, limit)
    )
    return [_row(row) for row in rows]


def _read(connection: sqlite3.Connection, *, name: str, version: int | None) -> Row | None:
    if version is None:
        found = _versions(connection, name=name, limit=1)
        return found[0] if found else None
    row = connection.execute(
        f"{_COLUMNS} WHERE name = ? AND version = ?", (name, version)
    ).fetchone()
    return None if row is None else _row(row)


def _revision(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count FROM modules_revision").fetchone()[0])


def _row(row: tuple[str, int, int, str | None]) -> Row:
    name, version, written, document = row
    return name, version, moment(written), document
