"""Versions of modules, for plugin `modules`: its `ModuleRepository` in PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

from dovetail import ContextAwareService, new_id
from dovetail_postgres.pool import PostgresPool

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from dovetail import SmartDependencyContainer
    from dovetail_postgres.database import Connection, Database

Row: TypeAlias = "tuple[str, int, datetime, str | None]"

STEPS = (
    # `change` is what one write is known by, should it be tried twice. A deletion is a version
    # without a document. The document is text: jsonb would not give every number back as it was.
    """
    CREATE TABLE {schema}.modules (
        name text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        written_at timestamptz NOT NULL,
        document text,
        change uuid NOT NULL,
        PRIMARY KEY (name, version)
    );

    CREATE TABLE {schema}.modules_revision (count bigint NOT NULL);
    INSERT INTO {schema}.modules_revision VALUES (0);
    """,
)


class PostgresModules(ContextAwareService):
    """Keeps versions of documents by name; the tables are made when they are first needed."""

    name = "postgres_modules"
    shared: PostgresPool

    def __init__(self, dependency_container: SmartDependencyContainer | None = None) -> None:
        super().__init__(dependency_container)
        self._database: Database | None = None
        self._opening = asyncio.Lock()

    async def append(
        self, name: str, version: int, document: str | None, *, keep: int = 100
    ) -> datetime | None:
        """Keep `document` as the `version` of `name`, if that is the one after its latest."""
        change = new_id()

        async def work(connection: Connection) -> datetime | None:
            async with connection.transaction():
                return await _append(
                    connection, self._table, name, version, document, keep=keep, change=change
                )

        return await (await self._open()).run(work)

    async def latest(self, *, after: str = "", limit: int = 100) -> Sequence[Row]:
        """The latest version of each name that is not deleted, by name."""
        question = (
            f"SELECT * FROM (SELECT DISTINCT ON (name) {_COLUMNS} FROM {await self._named()} "  # noqa: S608 - our own setting
            "WHERE name > $1 ORDER BY name, version DESC) AS newest "
            "WHERE document IS NOT NULL ORDER BY name LIMIT $2"
        )
        return await self._fetch(question, after, limit)

    async def versions(self, name: str, *, limit: int = 100) -> Sequence[Row]:
        """The latest versions of a name, the newest first, deletions too."""
        question = (
            f"SELECT {_COLUMNS} FROM {await self._named()} WHERE name = $1 "  # noqa: S608 - as above
            "ORDER BY version DESC LIMIT $2"
        )
        return await self._fetch(question, name, limit)

    async def read(self, name: str, version: int | None = None) -> Row | None:
        """A version of a name, the latest if none is said."""
        question = (
            f"SELECT {_COLUMNS} FROM {await self._named()} WHERE name = $1 "  # noqa: S608 - as above
            "AND ($2::bigint IS NULL OR version = $2) ORDER BY version DESC LIMIT 1"
        )
        found = await self._fetch(question, name, version)
        return found[0] if found else None

    async def revision(self) -> int:
        """A number that grows with every `append` that succeeded."""
        question = f"SELECT count FROM {await self._named()}_revision"  # noqa: S608 - as above
        database = await self._open()
        count: int = await database.run(lambda connection: connection.fetchval(question))
        return count

    async def _fetch(self, question: str, *arguments: object) -> list[Row]:
        database = await self._open()
        rows = await database.run(lambda connection: connection.fetch(question, *arguments))
        return [tuple(row) for row in rows]

    async def _named(self) -> str:
        await self._open()
        return self._table

    async def _open(self) -> Database:
        from dovetail_postgres.migrations import migrate

        async with self._opening:
            if self._database is None:
                database = await self.shared.open()
                await migrate(database, "modules", STEPS)
                self._table = f'"{database.schema}".modules'
                self._database = database
        return self._database


_COLUMNS = "name, version, written_at, document"


async def _append(
    connection: Connection,
    table: str,
    name: str,
    version: int,
    document: str | None,
    *,
    keep: int,
    change: str,
) -> datetime | None:
    # Whoever appends holds this row, so that of several with one version one succeeds.
    await connection.execute(f"UPDATE {table}_revision SET count = count")  # noqa: S608 - our own setting
    tried = await connection.fetchval(
        f"SELECT written_at FROM {table} WHERE name = $1 AND version = $2 AND change = $3",  # noqa: S608 - as above
        name,
        version,
        change,
    )
    if tried is not None:
        kept: datetime = tried
        return kept  # only nobody was told
    written: datetime | None = await connection.fetchval(
        f"INSERT INTO {table} SELECT $1, $2::bigint, clock_timestamp(), $3, $4 WHERE $2 = "  # noqa: S608 - as above
        f"(SELECT coalesce(max(version), 0) + 1 FROM {table} WHERE name = $1) RETURNING written_at",
        name,
        version,
        document,
        change,
    )
    if written is not None:
        await connection.execute(
            f"DELETE FROM {table} WHERE name = $1 AND version <= $2",  # noqa: S608 - as above
            name,
            version - keep,
        )
        await connection.execute(f"UPDATE {table}_revision SET count = count + 1")  # noqa: S608 - as above
    return written
