"""Sessions and messages to keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dovetail import ChatMessage, Session

if TYPE_CHECKING:
    from dovetail import SessionStore

AN_HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


def an_hour_long(session_id: str = "", user_id: str | None = None) -> Session:
    """A session that ends in an hour."""
    session = Session(user_id=user_id, expiry_at=now() + AN_HOUR)
    if session_id:
        session.session_id = session_id
    return session


def turn(number: int) -> list[ChatMessage]:
    return [ChatMessage.user(f"question {number}"), ChatMessage.assistant(f"answer {number}")]


async def said(store: SessionStore, session: Session) -> list[str]:
    """What is kept of a session that must be there."""
    found = await store.load(session.session_id)
    assert found is not None, f"{session.session_id!r} is not there"
    return [message.text for message in found.history]
