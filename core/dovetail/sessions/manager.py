"""The life of sessions: made, found, used by one turn at a time, ended."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field

from dovetail.config.durations import Duration
from dovetail.errors import DovetailError, SessionError, SessionForbidden
from dovetail.host.records import describe
from dovetail.ids import new_id
from dovetail.sessions.locks import SessionLocks
from dovetail.sessions.session import Session, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.chat.messages import ChatMessage
    from dovetail.sessions.store import SessionStore


log = structlog.get_logger("dovetail")


class SessionOptions(BaseModel):
    """The manager's own keys in `[sessions]`; the others are the store's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lifetime: Duration = Field(default=3600.0, gt=0, description="How long a session lives.")
    expiry: Literal["sliding", "absolute"] = Field(
        default="sliding", description="Whether the lifetime counts from the last use or the start."
    )
    cleanup_interval: Duration = Field(
        default=300.0, gt=0, description="How often sessions whose time is over are removed."
    )
    history: int = Field(
        default=200, ge=1, description="How many of the latest messages a turn is given."
    )
    max_waiting: int = Field(
        default=16, ge=0, description="How many turns may wait for one session."
    )
    wait_timeout: Duration = Field(
        default=120.0, gt=0, description="How long a turn waits for its session."
    )


class SessionManager:
    """Finds and makes sessions, and sees that each belongs to its user."""

    def __init__(self, store: SessionStore, options: SessionOptions | None = None) -> None:
        self.store = store
        self.options = options or SessionOptions()
        self._lifetime = timedelta(seconds=self.options.lifetime)
        self._locks = SessionLocks(
            store,
            max_waiting=self.options.max_waiting,
            wait_timeout=self.options.wait_timeout,
        )

    async def get_session(
        self,
        session_id: str,
        create_if_missing: bool = False,  # noqa: FBT001, FBT002 - the name the requirements give
        *,
        user_id: str | None = None,
        last: int | None = None,
    ) -> Session | None:
        """The session with the last `last` messages of its history (None: all), or None.

        Raises:
            SessionForbidden: it is another user's.
        """
        session = await self.store.load(session_id, last)
        if session is not None:
            _check_owner(session, user_id)
            return session
        if create_if_missing:
            return await self.create_session(user_id, session_id=session_id)
        return None

    async def create_session(
        self, user_id: str | None = None, *, session_id: str | None = None
    ) -> Session:
        """Make a session and store it; its id is a new UUID unless it is given.

        Raises:
            SessionConflict: there is one of this id.
        """
        return await self.store.set(self._new(user_id, session_id))

    async def update_session(self, session: Session) -> Session:
        """Save its state and preferences; returns it with its new version.

        Raises:
            SessionConflict: somebody else changed it since it was read.
        """
        self._touch(session)
        return await self.store.set(session)

    async def delete_session(self, session_id: str, *, user_id: str | None = None) -> bool:
        """Remove it once no turn uses it; whether there was one.

        Raises:
            SessionForbidden: it is another user's.
        """
        key = (user_id, session_id)
        await self._locks.acquire(key)
        try:
            if await self.get_session(session_id, user_id=user_id, last=0) is None:
                return False
            return await self.store.delete(session_id)
        finally:
            self._locks.release(key)

    async def cleanup(self) -> int:
        """Remove the sessions whose time is over; how many."""
        return await self.store.cleanup_expired()

    async def clean_up_regularly(self) -> None:
        """Run `cleanup` every `cleanup_interval`, until cancelled."""
        while True:
            await asyncio.sleep(self.options.cleanup_interval)
            try:
                await self.cleanup()
            except Exception:  # a store may be away for a moment: the next time may succeed
                log.exception("expired sessions could not be removed")

    async def begin_turn(self, session_id: str, user_id: str | None) -> Session:
        """Wait for the session's turn and give it with its latest messages; new if it is missing.

        `end_turn` is owed after this.

        Raises:
            SessionBusy: too many turns wait for it, or it took too long.
            SessionForbidden: it is another user's.
        """
        key = (user_id, session_id)
        try:
            if not self._locks.acquire_free(key):
                await self._locks.acquire(key)
        except DovetailError:
            raise
        except Exception as error:
            raise SessionError(_unusable(session_id, error)) from error
        try:
            session = await self.store.load(session_id, self.options.history)
            if session is not None:
                _check_owner(session, user_id)
        except BaseException as error:
            self._locks.release(key)
            if isinstance(error, Exception) and not isinstance(error, DovetailError):
                raise SessionError(_unusable(session_id, error)) from error
            raise
        return session if session is not None else self._new(user_id, session_id)

    async def keep(self, session: Session, messages: Sequence[ChatMessage]) -> None:
        """Add a turn's messages to the session's history."""
        self._touch(session)
        await self.store.append(session, messages)

    def end_turn(self, session: Session) -> None:
        """Let the session's next turn begin."""
        self._locks.release((session.user_id, session.session_id))

    async def close(self) -> None:
        """Wait for what is still being given back to the store."""
        await self._locks.close()

    def _new(self, user_id: str | None, session_id: str | None) -> Session:
        session = Session(session_id=session_id or new_id(), user_id=user_id)
        session.expiry_at = session.created_at + self._lifetime
        return session

    def _touch(self, session: Session) -> None:
        session.last_accessed_at = now()
        if self.options.expiry == "sliding":
            session.expiry_at = session.last_accessed_at + self._lifetime


def _check_owner(session: Session, user_id: str | None) -> None:
    if session.user_id != user_id:
        message = (
            f"session `{session.session_id}` belongs to another user: pass `user=` to say whose"
        )
        raise SessionForbidden(message)


def _unusable(session_id: str, error: Exception) -> str:
    return f"session `{session_id}` cannot be read from its store: {describe(error)}"
