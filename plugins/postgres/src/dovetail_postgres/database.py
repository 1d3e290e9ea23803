"""A pool of connections to one PostgreSQL server, and tries that outlast its absences."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import asyncpg
import structlog

from dovetail import DovetailError
from dovetail_postgres.errors import DatabaseAway, DatabaseError
from dovetail_postgres.failures import failure_of, is_refusal
from dovetail_postgres.settings import address_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from dovetail_postgres.settings import PostgresSettings

T = TypeVar("T")

log = structlog.get_logger("dovetail")

PAUSES = (0.02, 0.5)
"""How long to wait before the first retry, and at most."""
STOP_SECONDS = 1.0
"""How long the server may take to stop what is cancelled, before the connection is cut."""
CLOSE_SECONDS = 3.0
"""How long closing waits for what is under way."""


class Connection(Protocol):
    """What is used of asyncpg's `Connection`; arguments stand for `$1`, `$2` and so on."""

    async def execute(self, query: str, *args: object) -> str:
        """Run it; the command's tag."""

    async def executemany(self, command: str, args: Sequence[Sequence[object]]) -> None:
        """Run it for each of these, all or none."""

    async def fetch(self, query: str, *args: object) -> Sequence[Any]:
        """Every row."""

    async def fetchrow(self, query: str, *args: object) -> Any:
        """The first row, or None."""

    async def fetchval(self, query: str, *args: object) -> Any:
        """The first row's first value, or None."""

    def transaction(self) -> AbstractAsyncContextManager[object]:
        """A transaction that lasts as long as the block."""


class Database:
    """The pool. Components of the plugin that keep something may share one.

    Nothing may change a connection's session state (`SET`, `LISTEN`, temporary tables): connections
    are not reset between uses, which saves a round trip each, and may be a pooler's.
    """

    def __init__(self, settings: PostgresSettings) -> None:
        self.address = address_of(settings.url)
        self.schema = settings.schema_name
        self._settings = settings
        self._pool: Any = None
        self._well = True

    async def open(self) -> None:
        """Connect, once, and see that the database can be used. `close()` is owed after this.

        Raises:
            DatabaseAway: the server cannot be reached, or cannot be written to.
            DatabaseError: it can, and lets nobody in, or is in another encoding.
        """
        settings = self._settings
        self._pool = await asyncpg.create_pool(
            settings.url and settings.url.get_secret_value(),
            min_size=0,
            max_size=settings.pool_size,
            statement_cache_size=settings.statement_cache_size,
            reset=_leave,
        )
        encoding, reads_only = await self.run(_traits, retry_for=0)
        if encoding != "UTF8":
            raise DatabaseError(
                f"the database at {self.address} is in {encoding}: create one in UTF8 "
                "(createdb --encoding=UTF8 --template=template0)"
            )
        if reads_only == "on":
            raise DatabaseAway(
                f"PostgreSQL at {self.address} only reads, as replicas do: name the primary in "
                "`url`, or let its user write"
            )

    async def close(self) -> None:
        """Close every connection; may be called twice."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()
        except Exception:  # noqa: BLE001 - one that breaks while it is closed is closed all the same
            pool.terminate()

    async def run(
        self,
        work: Callable[[Connection], Awaitable[T]],
        *,
        timeout: float | None = None,
        retry_for: float | None = None,
    ) -> T:
        """What `work` returns, given a connection; tried again while the server is away.

        A try that broke may have done its work all the same: `work` must bear being repeated.

        Raises:
            DatabaseAway: it was away for longer than `retry_for` (default: as the settings say).
            DatabaseError: it refused.
        """
        loop = asyncio.get_running_loop()
        limit = self._settings.timeout if timeout is None else timeout
        end = loop.time() + (self._settings.retry_for if retry_for is None else retry_for)
        pause, longest = PAUSES
        while True:
            try:
                async with asyncio.timeout(limit):
                    result = await self._try(work, limit)
                self._note(None)
                return result
            except DovetailError:
                raise
            except Exception as error:
                failure = failure_of(error, self.address)
                if failure is None:
                    raise
                left = end - loop.time() - pause
                if left <= 0 or not isinstance(failure, DatabaseAway):
                    raise failure from error
            self._note(failure)
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)
            if timeout is None:
                limit = min(limit, left)

    async def _try(self, work: Callable[[Connection], Awaitable[T]], limit: float) -> T:
        pool = self._pool
        if pool is None:
            raise DatabaseError("the pool of connections to PostgreSQL is closed")
        task = asyncio.current_task()
        cancelled = task.cancelling() if task is not None else 0
        connection = await pool.acquire()
        # A transaction that is cancelled waits for the server to roll it back.
        giving_up = asyncio.get_running_loop().call_later(limit + STOP_SECONDS, _cut, connection)
        try:
            return await work(connection)
        except BaseException as error:
            if not is_refusal(error) and not isinstance(error, DovetailError):
                _cut(connection)  # nobody knows what it is in the middle of
            if task is not None and task.cancelling() > cancelled:
                raise asyncio.CancelledError from error  # whatever broke on the way out
            raise
        finally:
            giving_up.cancel()
            await pool.release(connection)

    def _note(self, failure: DatabaseError | None) -> None:
        """Log the first of many retries, and when things are well again."""
        if self._well and failure is not None:
            log.warning("postgres.retry", error=str(failure))
        elif not self._well and failure is None:
            log.info("postgres.back", address=self.address)
        self._well = failure is None


def _cut(connection: Any) -> None:
    with suppress(asyncpg.InterfaceError):  # it broke: the pool has it already
        connection.terminate()


async def _leave(_: object) -> None:
    """Instead of asyncpg's reset, a round trip: see `Database`."""


async def _traits(connection: Connection) -> tuple[str, str]:
    row = await connection.fetchrow(
        "SELECT current_setting('server_encoding'), current_setting('transaction_read_only')"
    )
    return row[0], row[1]
