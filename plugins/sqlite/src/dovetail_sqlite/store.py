"""Sessions in a SQLite file."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from json import loads
from sqlite3 import Connection
from typing import Any, TypeVar

import structlog

from dovetail import ChatMessage, Session, SessionError, SessionStore
from dovetail_sqlite import leases
from dovetail_sqlite.database import Database
from dovetail_sqlite.failures import DatabaseError
from dovetail_sqlite.reading import expired, load, page, refresh
from dovetail_sqlite.rows import Head, microseconds, moment, named
from dovetail_sqlite.settings import SqliteSettings
from dovetail_sqlite.tables import SESSIONS
from dovetail_sqlite.tails import Tail, Tails
from dovetail_sqlite.writing import Append, Delete, Put, remove_expired, touch

T = TypeVar("T")

log = structlog.get_logger("dovetail")

AT_ONCE = 200
"""How many expired sessions are removed in one transaction, so that others can write between."""


class SqliteSessions(SessionStore):
    """Keeps sessions in one file, which several processes may share."""

    name = "sqlite"
    leases = True
    settings: SqliteSettings

    def __init__(self) -> None:
        self.database: Database | None = None

    async def start(self) -> None:
        """Open the file; see `Database.open`."""
        options = self.settings
        self._tails = Tails(options.cache_size * 1_000_000)
        self.database = Database(
            options.path,
            [SESSIONS],
            synchronous=options.synchronous,
            busy_timeout=options.busy_timeout,
        )
        await self.database.open()

    async def stop(self) -> None:
        """Finish what is being written and close the file."""
        database, self.database = self.database, None
        if database is not None:
            await database.close()

    async def load(self, session_id: str, last: int | None = None) -> Session | None:
        """The session with the tail of its history; see `SessionStore.load`."""
        found = self._glance(session_id, last)
        if found is None:
            found = await self._read(session_id, partial(load, session_id=session_id, last=last))
        if found is None:
            self._tails.keep(session_id, None)
            return None
        session, tail = found
        if tail is not None:
            self._tails.keep(session_id, tail)
        return session

    async def append(self, session: Session, messages: Sequence[ChatMessage]) -> None:
        """Add messages; see `SessionStore.append`."""
        await self._write(session.session_id, Append(session, messages))

    async def set(self, session: Session) -> Session:
        """Compare and swap; see `SessionStore.set`."""
        put, history = Put(session), list(session.history)
        kept = await self._write(session.session_id, put)
        state, preferences, auth_info = put.objects
        return replace(
            session,
            created_at=moment(kept.created_at),
            state=loads(state),
            preferences=loads(preferences),
            auth_info=None if auth_info is None else loads(auth_info),
            history=history,
            version=kept.version,
            message_count=kept.message_count,
        )

    async def touch(self, session: Session) -> bool:
        """Take over its times; see `SessionStore.touch`."""
        return await self._write(session.session_id, partial(touch, session=session))

    async def list_sessions(
        self,
        user_id: str | None = None,
        *,
        every_user: bool = False,
        expiring_before: datetime | None = None,
        after: str = "",
        limit: int = 100,
    ) -> list[Session]:
        """A page of sessions; see `SessionStore.list_sessions`.

        One that is damaged has what can be read of it, and version 0: it can be removed.
        """
        wanted: dict[str, Any] = {"after": after, "limit": max(limit, 0)}
        if not every_user:
            wanted["user_id"] = user_id
        if expiring_before is not None:
            wanted["before"] = microseconds(expiring_before)
        return [_listed(head) for head in await self._read(None, partial(page, wanted=wanted))]

    async def delete(self, session_id: str) -> bool:
        """Remove it; see `SessionStore.delete`."""
        self._tails.keep(session_id, None)
        return await self._write(session_id, Delete(session_id))

    async def cleanup_expired(self) -> int:
        """Remove what is over; see `SessionStore.cleanup_expired`."""
        removed = 0
        while keys := await self._read(None, partial(expired, limit=AT_ONCE)):
            removed += await self._write(None, partial(remove_expired, keys=keys))
        await self._write(None, leases.remove_ended, durable=False)
        return removed

    async def acquire_lease(self, session_id: str, owner: str, seconds: float) -> bool:
        """Take or renew a lease; see `SessionStore.acquire_lease`."""
        work = partial(leases.acquire, session_id=session_id, owner=owner, seconds=seconds)
        return await self._write(session_id, work, durable=False)

    async def release_lease(self, session_id: str, owner: str) -> None:
        """Give a lease back; see `SessionStore.release_lease`."""
        work = partial(leases.release, session_id=session_id, owner=owner)
        await self._write(session_id, work, durable=False)

    def _glance(self, session_id: str, last: int | None) -> tuple[Session, Tail | None] | None:
        """What is remembered of it and still right, with what came since."""
        known = self._tails.get(session_id)
        if known is None:
            return None
        work = partial(refresh, session_id=session_id, last=last, known=known)
        try:
            return self._opened().glance(work)
        except (DatabaseError, ValueError):  # the long way may do, or says what is wrong
            return None

    async def _read(self, session_id: str | None, work: Callable[[Connection], T]) -> T:
        try:
            return await self._opened().read(work)
        except DatabaseError as error:
            raise _unusable(session_id, error) from error

    async def _write(
        self, session_id: str | None, work: Callable[[Connection], T], *, durable: bool = True
    ) -> T:
        try:
            return await self._opened().write(work, durable=durable)
        except DatabaseError as error:
            raise _unusable(session_id, error) from error

    def _opened(self) -> Database:
        if self.database is None:
            message = "the sessions' store is not running"
            raise SessionError(message)
        return self.database


def _listed(head: Head) -> Session:
    try:
        return head.session()
    except ValueError as error:
        session = head.remains()
        log.warning("a session is damaged", session_id=session.session_id, why=str(error))
        return session


def _unusable(session_id: str | None, error: DatabaseError) -> SessionError:
    what = "sessions" if session_id is None else f"session {named(session_id)}"
    return SessionError(f"{what} cannot be read or written: {error}")
