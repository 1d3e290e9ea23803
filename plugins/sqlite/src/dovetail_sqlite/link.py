"""One connection to the file, and the transactions that are run on it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dovetail_sqlite.failures import DatabaseAway, breaks, failure
from dovetail_sqlite.migrations import Schema, migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

PATIENCE_SECONDS = 0.2
"""How long SQLite waits for a lock before others have a try; `Database` tries again."""
LARGEST_LOG = 64 << 20
"""To how many bytes the write-ahead log is cut back when it has grown beyond them."""


class Job:
    """Something to do in a transaction, and what came of it."""

    __slots__ = ("durable", "error", "result", "work")

    def __init__(self, work: Callable[[sqlite3.Connection], Any], *, durable: bool = False) -> None:
        self.work = work
        self.durable = durable
        self.result: Any = None
        self.error: Exception | None = None


class Link:
    """A connection that opens when it is needed, and again after it broke.

    It belongs to one thread.
    """

    def __init__(
        self,
        path: Path,
        schemas: Sequence[Schema],
        *,
        writes: bool = False,
        synchronous: str = "full",
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._path = path
        self._schemas = schemas
        self._writes = writes
        self._patience = patience
        self._durable = synchronous.upper()
        self._synchronous = ""
        self._begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
        self._connection: sqlite3.Connection | None = None
        self._identity = (0, 0)
        self._opened = not writes

    def run(self, jobs: Sequence[Job]) -> None:
        """Do all of them in one transaction, and note what came of each; never raises.

        One that fails harms no other.
        """
        try:
            self._transact(jobs)
        except Exception as error:  # noqa: BLE001 - whatever a job raises is for whoever asked
            if breaks(error):
                self.close()
            if len(jobs) > 1 and not isinstance(failure(error, self._path), DatabaseAway):
                for job in jobs:  # nothing of any was kept: each has its own success or error
                    self.run((job,))
                return
            for job in jobs:
                job.error = failure(error, self._path)

    def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):  # it is gone in any case
                connection.close()

    def _transact(self, jobs: Sequence[Job]) -> None:
        connection = self._connection or self._connect()
        if self._writes:
            self._sync(connection, self._durable if any(j.durable for j in jobs) else "NORMAL")
        try:
            connection.execute(self._begin)
            for job in jobs:
                job.error = None
                if len(jobs) == 1:
                    job.result = job.work(connection)
                else:
                    self._step(connection, job)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                with suppress(sqlite3.Error):  # what went wrong before is what is told
                    connection.execute("ROLLBACK")
        self._check_in_place()

    def _step(self, connection: sqlite3.Connection, job: Job) -> None:
        """A job among others: undone alone if it fails."""
        connection.execute("SAVEPOINT job")
        try:
            job.result = job.work(connection)
        except Exception as error:
            if not connection.in_transaction:  # SQLite has undone them all
                raise
            connection.execute("ROLLBACK TO job")
            job.error = failure(error, self._path)
        connection.execute("RELEASE job")

    def _sync(self, connection: sqlite3.Connection, mode: str) -> None:
        if mode != self._synchronous:
            connection.execute(f"PRAGMA synchronous = {mode}")
            self._synchronous = mode

    def _connect(self) -> sqlite3.Connection:
        """Open the file; the first time it is made if it is not there."""
        make = not self._opened and not self._path.exists()
        if self._opened:
            self._path.stat()  # says that it is gone, as SQLite does not
        uri = f"{self._path.as_uri()}?mode={'rwc' if make else 'rw'}"
        connection = sqlite3.connect(
            uri, uri=True, timeout=self._patience, isolation_level=None, cached_statements=64
        )
        try:
            if make:
                self._path.chmod(0o600)  # conversations are nobody else's business
            found = self._path.stat()
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._identity = (found.st_dev, found.st_ino)
        self._connection = connection
        self._synchronous = ""
        self._opened = True
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            message = f"its file system cannot keep a write-ahead log (journal mode `{mode}`)"
            raise OSError(message)
        connection.execute(f"PRAGMA journal_size_limit = {LARGEST_LOG}")
        connection.execute("PRAGMA fullfsync = ON")  # on macOS a plain one leaves it in the drive
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
        migrate(connection, self._schemas)
        if not self._writes:
            connection.execute("PRAGMA query_only = ON")

    def _check_in_place(self) -> None:
        """Nothing is told to be kept that went into a file which is not there any more."""
        found = os.stat(self._path)  # noqa: PTH116 - a quarter of what `Path.stat` costs
        if (found.st_dev, found.st_ino) != self._identity:
            self.close()
            message = f"`{self._path}` is not the file any more that was opened"
            raise DatabaseAway(message)
