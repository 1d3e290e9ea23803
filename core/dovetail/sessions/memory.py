"""The kernel's own session store: in memory, gone with the process.

It comes in by the same hook as anybody's.
"""

import heapq
from collections import OrderedDict
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from operator import attrgetter

from pydantic import Field

from dovetail.chat.messages import ChatMessage
from dovetail.component import Settings
from dovetail.errors import SessionConflict, SessionForbidden
from dovetail.hookspecs import hookimpl
from dovetail.sessions.session import Session, now
from dovetail.sessions.store import SessionStore


class MemorySettings(Settings):
    """How much is kept."""

    max_sessions: int = Field(
        default=10_000, ge=1, description="Beyond this the session used longest ago is dropped."
    )
    max_messages: int = Field(
        default=10_000, ge=2, description="Beyond this a session's oldest messages are dropped."
    )


class MemorySessionStore(SessionStore):
    """Keeps sessions in a dictionary, those used last at its end."""

    name = "in-memory"
    settings: MemorySettings

    def __init__(self) -> None:
        self.sessions: OrderedDict[str, Session] = OrderedDict()

    async def load(self, session_id: str, last: int | None = None) -> Session | None:
        """The session with the tail of its history; see `SessionStore.load`."""
        stored = self._find(session_id)
        if stored is None:
            return None
        start = 0 if last is None else max(len(stored.history) - last, 0)
        return _copy(stored, stored.history[start:])

    async def append(self, session: Session, messages: Sequence[ChatMessage]) -> None:
        """Add messages; see `SessionStore.append`."""
        stored = self.sessions.get(session.session_id)  # though its time ended during the turn
        if stored is None:
            stored = self._create(session, [])
        _check_owner(stored, session)
        stored.last_accessed_at = session.last_accessed_at
        stored.expiry_at = session.expiry_at
        stored.history.extend(messages)
        stored.message_count += len(messages)
        excess = len(stored.history) - self.settings.max_messages
        if excess > 0:
            del stored.history[:excess]

    async def set(self, session: Session) -> Session:
        """Compare and swap; see `SessionStore.set`."""
        stored = self._find(session.session_id)
        if stored is None and session.version == 0:
            return _copy(self._create(session, list(session.history)), list(session.history))
        if stored is not None:
            _check_owner(stored, session)
        if stored is None or stored.version != session.version:
            message = f"session `{session.session_id}` was made, changed or removed by others"
            raise SessionConflict(message)
        changed = replace(
            _copy(session, stored.history),
            version=stored.version + 1,
            created_at=stored.created_at,
            message_count=stored.message_count,
        )
        self.sessions[session.session_id] = changed
        return _copy(changed, list(session.history))

    async def touch(self, session: Session) -> bool:
        """Take over its times; see `SessionStore.touch`."""
        stored = self._find(session.session_id)
        if stored is None or stored.user_id != session.user_id:
            return False
        stored.last_accessed_at = session.last_accessed_at
        stored.expiry_at = session.expiry_at
        return True

    async def list_sessions(
        self,
        user_id: str | None = None,
        *,
        every_user: bool = False,
        expiring_before: datetime | None = None,
        after: str = "",
        limit: int = 100,
    ) -> list[Session]:
        """A page of sessions; see `SessionStore.list_sessions`."""
        moment = now()
        found = (
            session
            for session_id, session in self.sessions.items()
            if session_id > after
            and (every_user or session.user_id == user_id)
            and (session.expiry_at is None or session.expiry_at > moment)
            and (expiring_before is None or _ends_before(session, expiring_before))
        )
        page = heapq.nsmallest(limit, found, key=attrgetter("session_id"))
        return [_copy(session, []) for session in page]

    async def delete(self, session_id: str) -> bool:
        """Remove it; see `SessionStore.delete`."""
        return self.sessions.pop(session_id, None) is not None

    async def cleanup_expired(self) -> int:
        """Remove what is over; see `SessionStore.cleanup_expired`."""
        expired = [key for key, session in self.sessions.items() if session.is_expired()]
        for key in expired:
            del self.sessions[key]
        return len(expired)

    def _find(self, session_id: str) -> Session | None:
        session = self.sessions.get(session_id)
        if session is None:
            return None
        if session.is_expired():
            del self.sessions[session_id]
            return None
        self.sessions.move_to_end(session_id)
        return session

    def _create(self, session: Session, history: list[ChatMessage]) -> Session:
        while len(self.sessions) >= self.settings.max_sessions:
            self.sessions.popitem(last=False)
        created = replace(_copy(session, history), version=1, message_count=len(history))
        self.sessions[session.session_id] = created
        return created


def _copy(session: Session, history: list[ChatMessage]) -> Session:
    """Its own dictionaries, and `history` as it is; messages are immutable and shared."""
    return Session(
        session_id=session.session_id,
        user_id=session.user_id,
        created_at=session.created_at,
        last_accessed_at=session.last_accessed_at,
        expiry_at=session.expiry_at,
        state=deepcopy(session.state) if session.state else {},
        preferences=deepcopy(session.preferences) if session.preferences else {},
        history=history,
        auth_info=deepcopy(session.auth_info) if session.auth_info else session.auth_info,
        version=session.version,
        message_count=session.message_count,
    )


def _ends_before(session: Session, moment: datetime) -> bool:
    return session.expiry_at is not None and session.expiry_at < moment


def _check_owner(stored: Session, session: Session) -> None:
    if stored.user_id != session.user_id:
        message = f"session `{session.session_id}` belongs to another user"
        raise SessionForbidden(message)


@hookimpl
def session_stores() -> list[type[SessionStore]]:
    """The one store the kernel brings itself."""
    return [MemorySessionStore]
