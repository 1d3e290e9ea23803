"""The session store."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from dovetail import (
    ChatMessage,
    NotReady,
    PluginError,
    Session,
    SessionConflict,
    SessionCorrupt,
    SessionError,
    SessionForbidden,
    SessionStore,
    new_id,
)
from dovetail_postgres.errors import DatabaseAway, DatabaseError
from dovetail_postgres.names import brief, check_name
from dovetail_postgres.pool import PostgresPool
from dovetail_postgres.rows import (
    UnreadableError,
    UnwritableError,
    from_jsonb,
    readable,
    to_history,
    to_jsonb,
    to_session,
    to_text,
)
from dovetail_postgres.settings import PostgresSettings
from dovetail_postgres.statements import Statements
from dovetail_postgres.tables import STEPS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from dovetail_postgres.database import Connection, Database

T = TypeVar("T")

ALL = 2**62
"""More messages than any history has."""
PAGE = 100
"""How many sessions are cleaned up at a time."""
CLEANUP_SECONDS = 60.0
"""How long that may take."""


class PostgresSessionStore(SessionStore):
    """Keeps sessions in PostgreSQL: a row for each, and one for each message.

    With keys of its own in `[sessions]` it has a pool of its own, else that of the plugin.
    """

    name = "postgres"
    leases = True
    settings: PostgresSettings
    shared: PostgresPool

    def __init__(self) -> None:
        self._database: Database | None = None
        self._own: Database | None = None
        self._sql = Statements("")

    async def start(self) -> None:
        """Connect, and make the tables or bring them up to date."""
        # not above: what can be set shall be known without loading asyncpg
        from dovetail_postgres.database import Database
        from dovetail_postgres.migrations import migrate

        try:
            if self.settings.model_fields_set:
                self._own = database = Database(self.settings)
                await database.open()
            else:
                database = await self.shared.open()
            self._database, self._sql = database, Statements(database.schema)
            await migrate(database, "sessions", STEPS)
        except DatabaseAway as error:
            raise NotReady(str(error)) from error
        except DatabaseError as error:
            raise PluginError(str(error)) from error

    async def stop(self) -> None:
        """Close the connections."""
        own, self._own, self._database = self._own, None, None
        if own is not None:
            await own.close()

    async def load(self, session_id: str, last: int | None = None) -> Session | None:
        """The session with the tail of its history; see `SessionStore.load`."""
        check_name(session_id)
        count = ALL if last is None else last
        row = await self._run(session_id, lambda c: c.fetchrow(self._sql.load, session_id, count))
        if row is None:
            return None
        try:
            return to_session(row, to_history(row[10], row["message_count"], last), from_jsonb)
        except UnreadableError as error:
            raise _corrupt(session_id, row["user_id"], error) from error

    async def append(self, session: Session, messages: Sequence[ChatMessage]) -> None:
        """Add messages; see `SessionStore.append`."""
        texts, batch = [to_text(message) for message in messages], new_id()
        known = (*_head(session), texts, batch)

        async def work(connection: Connection) -> None:
            if session.version and await connection.fetchval(self._sql.append, *known):
                return
            new = (*known, *_objects(session))
            while not await connection.fetchval(self._sql.append_or_create, *new):
                standing = await self._standing(connection, session)
                _check_owner(standing, session)

        try:
            await self._run(session.session_id, work)
        except SessionError as error:
            violated = getattr(error.__cause__, "constraint", "")
            if violated == "messages_pkey":
                why = UnreadableError("it has more messages than it counts")
                raise _corrupt(session.session_id, session.user_id, why) from error
            if violated != "messages_batch":
                raise
            # An earlier try was kept, only its answer was lost.

    async def set(self, session: Session) -> Session:
        """Compare and swap; see `SessionStore.set`."""
        change, objects = new_id(), _objects(session)
        texts = [to_text(message) for message in session.history] if session.version == 0 else []
        name, owner, _, accessed, expiry = head = _head(session)

        async def work(connection: Connection) -> tuple[datetime, int, int]:
            while True:
                if session.version:
                    values = (name, owner, accessed, expiry, *objects, session.version, change)
                    if row := await connection.fetchrow(self._sql.set, *values):
                        return row[0], row[1], row[2]
                elif await connection.fetchval(self._sql.create, *head, texts, change, *objects):
                    return session.created_at, 1, len(texts)
                standing = await self._standing(connection, session)
                _check_owner(standing, session)
                if standing is not None and standing["change"] == change:
                    # An earlier try was kept, only its answer was lost.
                    return standing["created_at"], standing["version"], standing["message_count"]
                if standing is not None or session.version:
                    raise SessionConflict(f"{brief(name)} was made, changed or removed by others")

        created, version, count = await self._run(name, work)
        state, preferences, auth_info = objects
        return replace(
            session,
            created_at=created,
            version=version,
            message_count=count,
            state=from_jsonb(state, "state"),
            preferences=from_jsonb(preferences, "preferences"),
            auth_info=None if auth_info is None else from_jsonb(auth_info, "auth_info"),
            history=list(session.history),
        )

    async def touch(self, session: Session) -> bool:
        """Take over its times; see `SessionStore.touch`."""
        name, owner, _, accessed, expiry = _head(session)
        values = (name, owner, accessed, expiry)
        return bool(await self._run(name, lambda c: c.fetchval(self._sql.touch, *values)))

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

        One whose state cannot be read is listed without it: it is there, and can be deleted.
        """
        check_name(after)
        check_name(user_id or "", "the user", longest=None)
        if every_user:
            query, user_id = self._sql.page_of_all, None
        else:
            query = self._sql.page_of_nobody if user_id is None else self._sql.page_of_user
        values = (after, max(limit, 0), user_id, expiring_before)
        rows = await self._run("", lambda c: c.fetch(query, *values))
        return [to_session(row, [], readable) for row in rows]

    async def delete(self, session_id: str) -> bool:
        """Remove it; see `SessionStore.delete`."""
        check_name(session_id)
        was_there = False  # remembered, should the answer to a first try be lost

        async def work(connection: Connection) -> None:
            nonlocal was_there
            if await connection.fetchrow(self._sql.standing, session_id):
                was_there = True
            await connection.execute(self._sql.delete, session_id)

        await self._run(session_id, work)
        return was_there

    async def cleanup_expired(self) -> int:
        """Remove what is over, and old leases; see `SessionStore.cleanup_expired`."""
        removed, last = 0, 0

        async def work(connection: Connection) -> Sequence[Any]:
            return await connection.fetch(self._sql.clean_up, last, PAGE)

        while page := await self._run("", work, timeout=CLEANUP_SECONDS):
            removed += len(page)
            last = max(row[0] for row in page)
        await self._run("", lambda c: c.execute(self._sql.clean_up_leases))
        return removed

    async def acquire_lease(self, session_id: str, owner: str, seconds: float) -> bool:
        """Take or renew a lease, in the server's time; see `SessionStore.acquire_lease`."""
        values = (_digest(session_id), owner, seconds)
        return bool(await self._run(session_id, lambda c: c.fetchval(self._sql.lease, *values)))

    async def release_lease(self, session_id: str, owner: str) -> None:
        """Give a lease back; see `SessionStore.release_lease`."""
        values = (_digest(session_id), owner)
        await self._run(session_id, lambda c: c.execute(self._sql.release, *values))

    async def _standing(self, connection: Connection, session: Session) -> Any:
        """What stands under its id; what is over makes room."""
        await connection.execute(self._sql.delete_over, session.session_id)
        return await connection.fetchrow(self._sql.standing, session.session_id)

    async def _run(
        self,
        session_id: str,
        work: Callable[[Connection], Awaitable[T]],
        *,
        timeout: float | None = None,
    ) -> T:
        what = f"session {brief(session_id)}" if session_id else "sessions"
        if self._database is None:
            raise SessionError(f"{what}: the store is not started, or is stopped")
        try:
            return await self._database.run(work, timeout=timeout)
        except DatabaseError as error:
            raise SessionError(f"{what}: {error}") from error


def _head(session: Session) -> tuple[str, str | None, datetime, datetime, datetime | None]:
    check_name(session.session_id)
    check_name(session.user_id or "", "the user", longest=None)
    return (
        session.session_id,
        session.user_id,
        session.created_at,
        session.last_accessed_at,
        session.expiry_at,
    )


def _objects(session: Session) -> tuple[str, str, str | None]:
    column = "state"
    try:
        state = to_jsonb(session.state)
        column = "preferences"
        preferences = to_jsonb(session.preferences)
        column = "auth_info"
        return (
            state,
            preferences,
            None if session.auth_info is None else to_jsonb(session.auth_info),
        )
    except UnwritableError as error:
        message = f"session {brief(session.session_id)} cannot be kept: its `{column}` {error}"
        raise SessionError(message) from error


def _check_owner(standing: Any, session: Session) -> None:
    if standing is not None and standing["user_id"] != session.user_id:
        raise SessionForbidden(f"session {brief(session.session_id)} belongs to another user")


def _corrupt(session_id: str, user_id: str | None, why: UnreadableError) -> SessionCorrupt:
    message = (
        f"session {brief(session_id)} cannot be used, and is left as it is: {why}; mend it in the "
        "database, or remove it with `dovetail sessions delete`"
    )
    return SessionCorrupt(message, user_id=user_id)


def _digest(name: str) -> bytes:
    """A lease's name may be longer than what an index takes, and of any characters."""
    return sha256(name.encode("utf-8", "surrogatepass")).digest()
