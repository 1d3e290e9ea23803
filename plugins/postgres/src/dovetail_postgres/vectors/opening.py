"""The extension and the tables, there and new enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail_postgres.errors import DatabaseError
from dovetail_postgres.vectors.tables import STEPS

if TYPE_CHECKING:
    from dovetail_postgres.database import Connection, Database

OLDEST = (0, 8)
"""The first pgvector whose searches go on until enough pass a filter."""


async def prepare(database: Database) -> None:
    """Make what is missing.

    Raises:
        DatabaseError: it cannot be made, or the extension is too old.
    """
    # not above: what can be set shall be known without loading asyncpg
    from dovetail_postgres.migrations import migrate

    await migrate(database, "vectors", STEPS)
    version, schema, seen = await database.run(_found)
    if version is None:
        raise DatabaseError(
            f"PostgreSQL at {database.address} has the extension `vector` no more: say "
            "`CREATE EXTENSION vector` there, and restore the tables from a backup"
        )
    if not seen:
        raise DatabaseError(
            f"PostgreSQL at {database.address} has the extension `vector` in the schema "
            f"`{schema}`, where it is not looked for: say `ALTER ROLE … SET search_path = public, "
            f"{schema}` for the user of `url`, or move it by `ALTER EXTENSION vector SET SCHEMA`"
        )
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        raise DatabaseError(
            f"PostgreSQL at {database.address} has pgvector {version}, and 0.8 is needed: install "
            "it on the server's machine, and say `ALTER EXTENSION vector UPDATE` in the database"
        )


async def _found(connection: Connection) -> tuple[str | None, str | None, bool]:
    """Which version there is, in which schema, and whether a statement finds it there."""
    row = await connection.fetchrow(
        "SELECT extversion, nspname, extnamespace = ANY(SELECT oid FROM pg_namespace "
        "WHERE nspname = ANY(current_schemas(true))) FROM pg_extension "
        "JOIN pg_namespace AS schemas ON schemas.oid = extnamespace WHERE extname = 'vector'"
    )
    return (None, None, False) if row is None else tuple(row)
