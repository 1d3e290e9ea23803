"""The store: what a kernel asks for, told to the server in scripts."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

import structlog

from dovetail import (
    Session,
    SessionConflict,
    SessionCorrupt,
    SessionError,
    SessionForbidden,
    SessionStore,
    new_id,
)
from dovetail_redis.keys import Keys, encoded
from dovetail_redis.records import (
    arguments,
    copy_of,
    corrupt,
    lines,
    session_of,
    shown,
    time_of,
    user_text,
)
from dovetail_redis.scripts import (
    APPEND,
    DELETE,
    LEASE,
    LOAD,
    RELEASE,
    SET,
    TOUCH,
    Script,
)
from dovetail_redis.settings import RedisSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from dovetail import ChatMessage
    from dovetail_redis.index import Index
    from dovetail_redis.server import Server

log = structlog.get_logger("dovetail.redis")

REMEMBERED = 30.0
"""Seconds beyond `retry_for` that a call is remembered, so that it is never done twice."""
EVERYTHING = 10**12
"""More messages than there can be."""
MOST_AT_ONCE = 500
"""Sessions that are read for a list in one round trip."""


class RedisSessionStore(SessionStore):
    """Keeps a session in a hash and a list, which Redis drops by itself when its time is over."""

    name = "redis"
    leases = True
    settings: RedisSettings

    def __init__(self) -> None:
        self._server: Server | None = None
        self._index: Index | None = None

    async def start(self) -> None:
        """Connect, and see that the server can keep sessions.

        Raises:
            NotReady: it is not there now, or cannot be written now.
            PluginError: it refuses us, or is none that can keep sessions.
        """
        # Here, since redis-py takes longer to import than the kernel.
        from dovetail_redis.index import Index
        from dovetail_redis.server import Server

        self._keys = Keys(self.settings.prefix)
        self._remember = ceil((self.settings.retry_for + REMEMBERED) * 1000)
        self._server = server = Server(self.settings)
        self._index = Index(server, self._keys)
        await server.open(self._keys.lease(new_id()))

    async def stop(self) -> None:
        """Close every connection."""
        server, self._server = self._server, None
        if server is not None:
            await server.close()

    @property
    def server(self) -> Server:
        """The connections.

        Raises:
            SessionError: the store does not run.
        """
        if self._server is None:
            raise SessionError("the session store `redis` does not run")
        return self._server

    @property
    def index(self) -> Index:
        """What finds sessions by name, user and end."""
        if self._index is None:
            raise SessionError("the session store `redis` does not run")
        return self._index

    async def load(self, session_id: str, last: int | None = None) -> Session | None:
        """The session with the tail of its history; see `SessionStore.load`."""
        count = EVERYTHING if last is None else max(last, 0)
        answer = await self.server.run(LOAD, self._keys.of(session_id), count)
        return session_of(session_id, answer, count) if answer else None

    async def append(self, session: Session, messages: Sequence[ChatMessage]) -> None:
        """Add messages; see `SessionStore.append`."""
        await self._change(APPEND, session, lines(session.session_id, messages))

    async def set(self, session: Session) -> Session:
        """Compare and swap; see `SessionStore.set`."""
        said = lines(session.session_id, session.history) if session.version == 0 else []
        answer = await self._change(SET, session, said)
        _, version, created, count, *_ = answer.split(b" ")
        return replace(
            copy_of(session),
            version=int(version),
            created_at=time_of(created),
            message_count=int(count),
        )

    async def touch(self, session: Session) -> bool:
        """Take over its times; see `SessionStore.touch`."""
        return await self._change(TOUCH, session, []) != b"none"

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

        One that cannot be understood is left out, with a warning in the log.
        """
        user = None if every_user else user_text(user_id)
        found: list[Session] = []
        while len(found) < limit:
            size = min(limit, MOST_AT_ONCE)
            page = await self.index.page(user, after, size)
            for session in await self._heads(user, page):
                mine = every_user or session.user_id == user_id
                if mine and (expiring_before is None or _ends_before(session, expiring_before)):
                    found.append(session)
            if len(page) < size:
                break
            after = page[-1]
        return found[: max(limit, 0)]

    async def delete(self, session_id: str) -> bool:
        """Remove it; see `SessionStore.delete`."""
        keys = self._changing(session_id)
        answer = await self.server.run(DELETE, keys, self._remember, encoded(session_id))
        there, _, user = answer.partition(b" ")
        if self.server.cluster:
            await self.index.remove(user or None, [session_id])
        return bool(there == b"ok")

    async def cleanup_expired(self) -> int:
        """Remove what is over and its entries; see `SessionStore.cleanup_expired`."""
        return await self.index.sweep()

    async def acquire_lease(self, session_id: str, owner: str, seconds: float) -> bool:
        """Take or renew a lease, by the server's clock; see `SessionStore.acquire_lease`."""
        milliseconds = max(ceil(seconds * 1000), 1)
        key = self._keys.lease(session_id)
        return bool(await self.server.run(LEASE, [key], encoded(owner), milliseconds))

    async def release_lease(self, session_id: str, owner: str) -> None:
        """Give the lease back; see `SessionStore.release_lease`."""
        await self.server.run(RELEASE, [self._keys.lease(session_id)], encoded(owner))

    async def _change(self, script: Script, session: Session, said: list[bytes]) -> bytes:
        """Run a script that takes a session; what it answers if it was not refused."""
        session_id, record = session.session_id, arguments(session)
        keys = self._changing(session_id)
        answer: bytes = await self.server.run(script, keys, self._remember, *record, *said)
        if answer == b"forbidden":
            raise SessionForbidden(f"session {shown(session_id)} belongs to another user")
        if answer == b"conflict":
            message = f"session {shown(session_id)} was made, changed or removed by others"
            raise SessionConflict(message)
        if answer == b"corrupt":
            raise corrupt(session_id, "its keys hold something else than a session")
        if answer.endswith(b" list"):
            await self.index.add(session_id, user_text(session.user_id), record[4])
        return answer

    async def _heads(self, user: bytes | None, session_ids: Sequence[str]) -> list[Session]:
        """Those of `session_ids` that are there; entries without a session are taken away."""
        calls = [LOAD.call(self._keys.of(session_id), 0) for session_id in session_ids]
        answers = await self.server.send(calls)
        found: list[Session] = []
        gone: list[str] = []
        for session_id, answer in zip(session_ids, answers, strict=True):
            if answer is None:
                gone.append(session_id)
            elif answer:
                try:
                    found.append(session_of(session_id, answer, 0))
                except SessionCorrupt as error:
                    log.warning("a session is not listed", reason=str(error))
        await self.index.remove(user, gone)
        return found

    def _changing(self, session_id: str) -> list[bytes]:
        """The keys of a call that changes a session."""
        head, messages = self._keys.of(session_id)
        keys = [head, messages, self._keys.once(head)]
        return keys if self.server.cluster else [*keys, *self._keys.indexes]


def _ends_before(session: Session, moment: datetime) -> bool:
    return session.expiry_at is not None and session.expiry_at < moment
