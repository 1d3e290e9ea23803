"""What the tests keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dovetail import ChatMessage, Session

if TYPE_CHECKING:
    from dovetail_postgres import PostgresSessionStore


def session(**fields: object) -> Session:
    """One that ends in an hour, under an id of its own."""
    ends = datetime.now(UTC) + timedelta(hours=1)
    return Session(**{"expiry_at": ends, **fields})  # type: ignore[arg-type]


def turn(number: int) -> list[ChatMessage]:
    return [ChatMessage.user(f"question {number}"), ChatMessage.assistant(f"answer {number}")]


async def loaded(store: PostgresSessionStore, session: Session, last: int | None = None) -> Session:
    found = await store.load(session.session_id, last)
    assert found is not None
    return found


async def said(store: PostgresSessionStore, session: Session) -> list[str]:
    return [message.text for message in (await loaded(store, session)).history]
