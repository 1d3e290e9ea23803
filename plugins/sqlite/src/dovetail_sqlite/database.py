"""One SQLite file, for every component that keeps something in it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dovetail_sqlite.failures import DatabaseAway, DatabaseError
from dovetail_sqlite.lane import CLOSED, Lane
from dovetail_sqlite.link import Job, Link

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from dovetail_sqlite.migrations import Schema

T = TypeVar("T")

TOGETHER = 100
"""How many writes may share a transaction."""
PAUSE_SECONDS = 0.02
"""How long to wait before what failed is tried again."""


class Database:
    """A file in WAL mode: one thread writes, another reads, neither of them the event loop's.

    Writes that wait together share a transaction, and each is acknowledged when that has been
    kept. What fails because the file is locked or away is tried again for `busy_timeout` seconds.
    Other processes may use the file at the same time.
    """

    def __init__(
        self,
        path: str,
        schemas: Sequence[Schema],
        *,
        synchronous: str = "full",
        busy_timeout: float = 5.0,
    ) -> None:
        self.path = Path(path).expanduser().absolute()
        self._patience = busy_timeout
        writer = Link(self.path, schemas, writes=True, synchronous=synchronous)
        # One thread reads: a second one only takes the first one's time with the interpreter.
        reader = Link(self.path, schemas)
        self._here = Link(self.path, schemas, patience=0)
        self._writing = Lane("dovetail-sqlite writer", writer, together=TOGETHER)
        self._reading = Lane("dovetail-sqlite reader", reader)

    async def open(self) -> None:
        """Open the file, make it if it is not there, and bring its tables up to date.

        Raises:
            DatabaseAway: it cannot be opened now, for it is locked or its disk fails.
            DatabaseError: it cannot be opened.
        """
        self._writing.start()
        self._reading.start()
        try:
            await self.write(_change_nothing)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish what waits and close the file; may be called again."""
        self._here.close()
        await self._reading.close()
        await self._writing.close()

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` gives, which sees one state of the database.

        It runs in a thread of ours, perhaps more than once.

        Raises:
            DatabaseError: the database could not do it.
        """
        return await self._do(self._reading, work)

    def glance(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` reads, at once and on this thread: half as long as the way to another.

        Only for little that was read or written a moment ago, so that the system still has it in
        memory: the event loop stands still meanwhile.

        Raises:
            DatabaseError: the database could not do it.
        """
        if not self._reading.running:
            raise DatabaseError(CLOSED)
        job = Job(work)
        self._here.run((job,))
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    async def write(self, work: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        """What `work` gives, in a transaction that is kept when this returns.

        It runs in a thread of ours. If it raises, what it did is undone. It may be run again after
        it succeeded, where it is not clear whether that was kept: it has to see to it that nothing
        is done twice. One that is not `durable` does not wait for the disk.

        Raises:
            DatabaseError: the database could not do it.
        """
        return await self._do(self._writing, work, durable=durable)

    async def _do(
        self, lane: Lane, work: Callable[[sqlite3.Connection], T], *, durable: bool = True
    ) -> T:
        loop = asyncio.get_running_loop()
        last = 0.0
        while True:
            try:
                result: T = await lane.do(work, durable=durable)
            except DatabaseAway:
                now = loop.time()
                last = last or now + self._patience
                if now >= last:
                    raise
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return result


def _change_nothing(connection: sqlite3.Connection) -> None:
    """Enough to see whether the file can be written: SQLite opens one that cannot, too."""
    connection.execute("DELETE FROM migrations WHERE component IS NULL")
