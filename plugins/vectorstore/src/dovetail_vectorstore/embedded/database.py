"""The SQLite file: one thread writes, others read, none of them the event loop's."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from dovetail_vectorstore.embedded.failures import failure
from dovetail_vectorstore.embedded.schema import SCHEMA, STATEMENTS
from dovetail_vectorstore.errors import VectorStoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

READERS = 2
"""Threads that read: more only take the interpreter's time from one another."""
WAIT_SECONDS = 5.0
"""How long SQLite waits for a lock, which only another program can hold."""
LARGEST_LOG = 64 << 20


class Database:
    """A file in WAL mode. What `write` did is kept when it returns."""

    def __init__(self, path: Path, *, synchronous: str) -> None:
        self.path = path
        self._synchronous = synchronous.upper()
        self._writer: ThreadPoolExecutor | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._local = threading.local()
        self._closed = True
        self._opened: deque[sqlite3.Connection] = deque()

    async def open(self, then: Callable[[sqlite3.Connection], T]) -> T:
        """Open the file, make it if it is not there, and give what `then` reads of it.

        Raises:
            VectorStoreError: it cannot be opened, is damaged, or is a newer version's.
        """
        self._writer = ThreadPoolExecutor(1, "dovetail-vectors-writer")
        self._readers = ThreadPoolExecutor(READERS, "dovetail-vectors-reader")
        self._closed = False
        await self._run(self._writer, self._prepare)
        return await self.write(then)

    async def close(self) -> None:
        """Finish what waits, and close the file; may be called again."""
        self._closed = True
        for pool in (self._readers, self._writer):
            if pool is not None:
                await asyncio.to_thread(pool.shutdown)
        self._readers = self._writer = None
        while self._opened:
            self._opened.pop().close()
        self._connection = None

    async def write(
        self,
        work: Callable[[sqlite3.Connection], T],
        kept: Callable[[T], object] | None = None,
    ) -> T:
        """What `work` gives, in a transaction of its own; if it raises, what it did is undone.

        `kept` is called with that once it is kept, in the same thread and before the next one, also
        if whoever called has been cancelled meanwhile.
        """

        def run() -> T:
            result = self._transact(work)
            if kept is not None:
                kept(result)
            return result

        return await self._run(self._writer, run)

    async def between_writes(self, work: Callable[[], T]) -> T:
        """What `work` gives, in the thread that writes: nothing is written meanwhile."""
        return await self._run(self._writer, work)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` gives, which may only read."""

        def run() -> T:
            connection = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = self._connect()
                connection.execute("PRAGMA query_only = ON")
            # One state of the database, though it asks several times.
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                connection.execute("ROLLBACK")

        return await self._run(self._readers, run)

    async def _run(self, pool: ThreadPoolExecutor | None, work: Callable[[], T]) -> T:
        if pool is None or self._closed:
            raise VectorStoreError(f"the vector store `{self.path.parent}` is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, work)
        except sqlite3.Error as error:
            raise failure(error, self.path) from error

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connection
        if connection is None:
            raise VectorStoreError(f"the vector store `{self.path.parent}` is closed")
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with suppress(sqlite3.Error):  # what went wrong before is what is told
                    connection.execute("ROLLBACK")
            raise
        return result

    def _prepare(self) -> None:
        new = not self.path.exists()
        connection = self._connection = self._connect()
        if new:
            self.path.chmod(0o600)  # what people wrote is nobody else's business
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == SCHEMA:
            return
        if version or connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise VectorStoreError(
                f"`{self.path}` was made by another version of dovetail-vectorstore, or by another "
                f"program (version {version}, and this one knows {SCHEMA}): install that version, "
                "or name another folder in `path` of [plugins.vectorstore]"
            )

        def make(connection: sqlite3.Connection) -> None:
            for statement in STATEMENTS:
                connection.execute(statement)
            connection.execute("INSERT INTO about VALUES ('store', ?)", (uuid4().hex,))
            connection.execute(f"PRAGMA user_version = {SCHEMA}")

        self._transact(make)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=WAIT_SECONDS,
            isolation_level=None,
            cached_statements=128,
            check_same_thread=False,  # closed by another thread, when its own has ended
        )
        self._opened.append(connection)
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise VectorStoreError(
                f"the file system of `{self.path}` cannot keep a write-ahead log (`{mode}`)"
            )
        connection.execute(f"PRAGMA journal_size_limit = {LARGEST_LOG}")
        connection.execute("PRAGMA fullfsync = ON")  # on macOS a plain one leaves it in the drive
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA cache_size = -16384")
        return connection


def rows_of(connection: sqlite3.Connection, statement: str, *values: Any) -> list[Any]:
    """All rows that a statement gives."""
    with closing(connection.execute(statement, values)) as cursor:
        return cursor.fetchall()
