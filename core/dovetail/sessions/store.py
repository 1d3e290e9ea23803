"""What keeps sessions. `SessionStoreContract` in `dovetail.testing` says the same as tests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from dovetail.component import Component

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from dovetail.chat.messages import ChatMessage
    from dovetail.sessions.session import Session


class SessionStore(Component, ABC):
    """Keeps sessions. All its methods may be called by many tasks at once.

    What it hands out are copies: changing one changes nothing that is stored.
    """

    leases: ClassVar[bool] = False
    """Whether it has leases, by which one turn at a time holds across processes too."""

    @abstractmethod
    async def load(self, session_id: str, last: int | None = None) -> Session | None:
        """The session with the last `last` messages of its history, or all of it (None).

        None if there is no such session, or its time is over.

        Raises:
            SessionCorrupt: what is stored cannot be understood; it is left as it is.
        """

    async def get(self, session_id: str) -> Session | None:
        """The session with all its history, or None."""
        return await self.load(session_id)

    @abstractmethod
    async def append(self, session: Session, messages: Sequence[ChatMessage]) -> None:
        """Add one turn's messages to the history: all or none, and never in conflict.

        Creates the session if it is not there; takes over `last_accessed_at` and `expiry_at`.
        State and preferences are not touched unless it creates.

        Raises:
            SessionForbidden: one of this id is stored, and it is another user's.
        """

    @abstractmethod
    async def set(self, session: Session) -> Session:
        """Save state, preferences, `auth_info` and times if nobody else has since it was read.

        Creates the session if it is not there and `session.version` is 0; a stored session has
        version 1 or more, whoever created it. The history is not touched, except that a created
        session starts with `session.history`. Returns the session with its new version.

        Raises:
            SessionConflict: the stored version is not `session.version`; nothing was changed.
            SessionForbidden: one of this id is stored, and it is another user's.
        """

    @abstractmethod
    async def touch(self, session: Session) -> bool:
        """Take over `last_accessed_at` and `expiry_at`, nothing else; whether it was there.

        A session that is not there, is over or is another user's stays as it is.
        """

    @abstractmethod
    async def list_sessions(
        self,
        user_id: str | None = None,
        *,
        every_user: bool = False,
        expiring_before: datetime | None = None,
        after: str = "",
        limit: int = 100,
    ) -> list[Session]:
        """Sessions without their history, in the order of their ids (by code point).

        Those of `user_id` (None: of nobody in particular), or with `every_user` of all; with
        `expiring_before` only those that end before it. Sessions that are over are left out.
        At most `limit`, those whose id follows `after`: the last id of a page asks for the next.
        """

    @abstractmethod
    async def delete(self, session_id: str) -> bool:
        """Remove the session and its history; whether there was one."""

    @abstractmethod
    async def cleanup_expired(self) -> int:
        """Remove the sessions whose time is over; how many."""

    async def acquire_lease(self, session_id: str, owner: str, seconds: float) -> bool:
        """Take or renew the right to a session's turn for `seconds`.

        `session_id` names the lease: the session's id, or the user, a slash and that; it may be
        longer than either.

        False while another owner's lease runs. A lease ends by itself when its time is over.
        """
        return True

    async def release_lease(self, session_id: str, owner: str) -> None:
        """Give the lease back, if `owner` still has it."""
