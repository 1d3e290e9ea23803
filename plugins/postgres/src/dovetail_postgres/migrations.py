"""Tables that grow with the code: numbered steps, each applied once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail_postgres.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail_postgres.database import Connection, Database

LOCK = 0x646F7665
"""The advisory lock that a process holds while it migrates: any number, the same in all."""
MIGRATION_SECONDS = 50.0
"""How long the steps of one component may take."""


async def migrate(database: Database, component: str, steps: Sequence[str]) -> None:
    """Apply those of `component`'s steps that the database has not had yet, all or none.

    A step is SQL, in which `{schema}` stands for the schema's name. Its number is its place: steps
    are only ever added at the end. Processes that start together wait for one another. Where there
    is nothing to do nothing is written, so that a user who may change no tables can run the code.

    Raises:
        DatabaseError: a step failed, or the database is newer than the code.
        DatabaseAway: it cannot be reached.
    """

    async def work(connection: Connection) -> None:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            await _migrate(connection, database, component, steps)

    await database.run(work, timeout=MIGRATION_SECONDS, retry_for=0)


async def _migrate(
    connection: Connection, database: Database, component: str, steps: Sequence[str]
) -> None:
    schema = f'"{database.schema}"'
    table = f"{schema}.migrations"
    done = 0
    if await connection.fetchval("SELECT to_regclass($1)::oid", table):
        read = f"SELECT version FROM {table} WHERE component = $1"  # noqa: S608 - our own setting
        done = await connection.fetchval(read, component) or 0
    if done > len(steps):
        raise DatabaseError(
            f"the schema `{database.schema}` at {database.address} is newer than this version of "
            f"dovetail-postgres: `{component}` is at step {done}, and only {len(steps)} are known; "
            "update dovetail-postgres, or use another `schema`"
        )
    if done == len(steps):
        return
    if not await connection.fetchval("SELECT to_regnamespace($1)::oid", schema):
        await connection.execute(f"CREATE SCHEMA {schema}")
    await connection.execute(
        f"CREATE TABLE IF NOT EXISTS {table}"
        " (component text PRIMARY KEY, version integer NOT NULL, applied_at timestamptz NOT NULL)"
    )
    for step in steps[done:]:
        await connection.execute(step.replace("{schema}", schema))
    note = (
        f"INSERT INTO {table} VALUES ($1, $2, now()) ON CONFLICT (component)"  # noqa: S608 - as above
        " DO UPDATE SET version = excluded.version, applied_at = excluded.applied_at"
    )
    await connection.execute(note, component, len(steps))
