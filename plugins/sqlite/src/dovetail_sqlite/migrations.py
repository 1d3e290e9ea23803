"""Bringing a database to the tables that the code knows, whatever it has of them.

Each component of the plugin has a `Schema`, and the database remembers how far it is with each.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one component, as the steps that made them what they are."""

    component: str
    """Its name in the database; it never changes."""
    steps: tuple[tuple[str, ...], ...]
    """SQL statements. Steps are added at the end; one that was released is never changed."""


class NewerSchemaError(Exception):
    """The database was made by a newer version of the plugin."""


class ForeignTablesError(Exception):
    """The database has tables that are not ours where ours would be."""


def migrate(connection: sqlite3.Connection, schemas: Iterable[Schema]) -> None:
    """Take the steps that are missing, all or none of them; data that is there is kept.

    It may be called again, and by several processes at once: they wait for one another.

    Raises:
        ForeignTablesError: a step cannot be taken, since something of its name is there.
        NewerSchemaError: the database has taken steps that are not known here.
    """
    wanted = tuple(schemas)
    if not _missing(connection, wanted):
        return  # the usual case, in which nobody need be waited for
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations "
            "(component TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID"
        )
        for schema, steps in _missing(connection, wanted):  # another process may have been here
            for statement in (statement for step in steps for statement in step):
                connection.execute(statement)
            connection.execute(
                "INSERT OR REPLACE INTO migrations VALUES (?, ?)",
                (schema.component, len(schema.steps)),
            )
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
            raise ForeignTablesError(str(error)) from error
        raise
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _missing(
    connection: sqlite3.Connection, schemas: tuple[Schema, ...]
) -> list[tuple[Schema, tuple[tuple[str, ...], ...]]]:
    taken: dict[str, int] = {}
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone():
        taken = dict(connection.execute("SELECT component, version FROM migrations"))
    for schema in schemas:
        found, known = taken.get(schema.component, 0), len(schema.steps)
        if found > known:
            message = f"version {found} of its `{schema.component}`, and this one knows {known}"
            raise NewerSchemaError(message)
    return [
        (schema, schema.steps[taken.get(schema.component, 0) :])
        for schema in schemas
        if taken.get(schema.component, 0) < len(schema.steps)
    ]
