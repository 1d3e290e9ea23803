"""The life of sessions: made, found, used by one turn at a time, ended."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field

from dovetail.chat.asking import check_ids
from dovetail.config.durations import Duration
from dovetail.errors import (
    DovetailError,
    SessionBusy,
    SessionConflict,
    SessionCorrupt,
    SessionError,
    SessionForbidden,
)
from dovetail.host.records import describe
from dovetail.ids import new_id
from dovetail.sessions.locks import SessionLocks
from dovetail.sessions.session import Session, now

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from dovetail.chat.messages import ChatMessage
    from dovetail.sessions.store import SessionStore

    Publish = Callable[[str, Mapping[str, object]], Awaitable[object]]
    """Tells those who listen of an event."""


log = structlog.get_logger("dovetail")


SESSION_CREATED = "session_created"
"""The event of a session that was made."""
TOUCH_SHARE = 0.1
"""Which part of a session's lifetime may pass before reading it is written down as a use."""


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

    def __init__(
        self,
        store: SessionStore,
        options: SessionOptions | None = None,
        *,
        publish: Publish | None = None,
    ) -> None:
        self.store = store
        self.options = options or SessionOptions()
        self._publish = publish
        self._lifetime = timedelta(seconds=self.options.lifetime)
        self._cleaned = time.monotonic()
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

        With `expiry = "sliding"` this counts as a use, which is written only if the last one that
        was is a tenth of the lifetime ago.

        Raises:
            SessionForbidden: it is another user's.
            SessionCorrupt: its store cannot understand what it has of it.
        """
        check_ids(session_id, user_id)
        session = await self.store.load(session_id, last)
        if session is not None:
            _check_owner(session, user_id)
            if now() - session.last_accessed_at > self._lifetime * TOUCH_SHARE:
                self._touch(session)
                await self.store.touch(session)
            return session
        if not create_if_missing:
            return None
        try:
            return await self.create_session(user_id, session_id=session_id)
        except SessionConflict:  # another was quicker, and theirs is as good
            return await self.get_session(session_id, user_id=user_id, last=last)

    async def create_session(
        self, user_id: str | None = None, *, session_id: str | None = None
    ) -> Session:
        """Make a session and store it; its id is a new UUID unless it is given.

        Raises:
            SessionConflict: there is one of this id.
        """
        check_ids(session_id, user_id)
        session = await self.store.set(self._new(user_id, session_id))
        await self.tell_created(session)
        return session

    async def list_sessions(
        self,
        user_id: str | None = None,
        *,
        every_user: bool = False,
        expiring_before: datetime | None = None,
        after: str = "",
        limit: int = 100,
    ) -> list[Session]:
        """A page of a user's sessions without their history; see `SessionStore.list_sessions`."""
        return await self.store.list_sessions(
            user_id,
            every_user=every_user,
            expiring_before=expiring_before,
            after=after,
            limit=limit,
        )

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
        check_ids(session_id, user_id)
        key = (user_id, session_id)
        await self._locks.acquire(key)
        try:
            deleted = await self._own(session_id, user_id) and await self.store.delete(session_id)
        finally:
            self._locks.release(key)
        if deleted:
            await self._tell("session_deleted", Session(session_id=session_id, user_id=user_id))
        return deleted

    async def _own(self, session_id: str, user_id: str | None) -> bool:
        """Whether it is there and the user's; one that cannot be read may be removed too."""
        try:
            session = await self.store.load(session_id, 0)
        except SessionCorrupt as corrupt:
            session = Session(session_id=session_id, user_id=corrupt.user_id)
        if session is not None:
            _check_owner(session, user_id)
        return session is not None

    async def cleanup(self, *, force: bool = False) -> int:
        """Remove the sessions whose time is over; how many.

        Without `force` nothing is done before `cleanup_interval` has passed since the last time.
        """
        if not force and time.monotonic() - self._cleaned < self.options.cleanup_interval:
            return 0
        self._cleaned = time.monotonic()
        count = await self.store.cleanup_expired()
        if count and self._publish is not None:
            await self._publish("session_expired", {"count": count})
        return count

    async def clean_up_regularly(self) -> None:
        """Run `cleanup` every `cleanup_interval`, until cancelled."""
        while True:
            await asyncio.sleep(self.options.cleanup_interval)
            try:
                await self.cleanup(force=True)
            except (Exception, asyncio.CancelledError):
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                # A store may be away for a moment, or cancel what nobody asked it to: the next
                # time may succeed.
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
        except SessionBusy as busy:
            if self._publish is not None:
                ids = {"session_id": session_id, "user_id": user_id}
                await self._publish("session_busy", {**ids, "reason": str(busy)})
            raise
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

    async def keep(self, session: Session, messages: Sequence[ChatMessage]) -> bool:
        """Add a turn's messages to the session's history; whether that made the session.

        `tell_created` is owed then, once the next turn may begin: listeners may take their time.
        """
        self._touch(session)
        await self.store.append(session, messages)
        return session.version == 0

    async def tell_created(self, session: Session) -> None:
        """Tell of a session that was made."""
        await self._tell(SESSION_CREATED, session)

    def end_turn(self, session: Session) -> None:
        """Let the session's next turn begin."""
        self._locks.release((session.user_id, session.session_id))

    async def close(self) -> None:
        """Wait for what is still being given back to the store."""
        await self._locks.close()

    async def _tell(self, event: str, session: Session) -> None:
        if self._publish is not None:
            ids = {"session_id": session.session_id, "user_id": session.user_id}
            await self._publish(event, ids)

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
