"""The pool of connections that the plugin's components share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dovetail import Component
from dovetail_postgres.settings import PostgresSettings

if TYPE_CHECKING:
    from dovetail_postgres.database import Database


class PostgresPool(Component):
    """One pool for all that is kept in PostgreSQL; its settings are those of `[plugins.postgres]`.

    It is opened by the first who needs it.
    """

    name = "postgres"
    settings: PostgresSettings

    def __init__(self) -> None:
        self._database: Database | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> Database:
        """The database, connected.

        Raises:
            DatabaseAway: it cannot be reached.
            DatabaseError: it lets nobody in, or cannot be used.
        """
        # not above: what can be set shall be known without loading asyncpg
        from dovetail_postgres.database import Database

        async with self._opening:
            if self._database is None:
                database = Database(self.settings)
                try:
                    await database.open()
                except BaseException:
                    await database.close()
                    raise
                self._database = database
        return self._database

    async def stop(self) -> None:
        """Close the connections."""
        database, self._database = self._database, None
        if database is not None:
            await database.close()
