"""A conversation that is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dovetail.ids import new_id

if TYPE_CHECKING:
    from dovetail.chat.messages import ChatMessage


def now() -> datetime:
    """The time, aware and in UTC."""
    return datetime.now(UTC)


@dataclass(slots=True, kw_only=True)
class Session:
    """A working copy of a session: changing it changes nothing until a store is told.

    `history` may be only the tail that was asked for; `message_count` is how many there are.
    """

    session_id: str = field(default_factory=new_id)
    user_id: str | None = None
    """Whose it is; None is nobody's in particular, and a named user's request does not get it."""
    created_at: datetime = field(default_factory=now)
    last_accessed_at: datetime = field(default_factory=now)
    expiry_at: datetime | None = None
    """When it ends; None for never."""
    state: dict[str, Any] = field(default_factory=dict)
    preferences: dict[str, Any] = field(default_factory=dict)
    history: list[ChatMessage] = field(default_factory=list)
    auth_info: dict[str, Any] | None = None
    version: int = 0
    """Counts changes of state and preferences, for compare and swap; 0 if it is not stored yet."""
    message_count: int = 0

    def get(self, key: str, default: Any = None) -> Any:
        """A value of the state."""
        return self.state.get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Set a value of the state."""
        self.state[key] = value
        self.touch()

    def delete(self, key: str) -> None:
        """Take a value out of the state, if it is there."""
        if key in self.state:
            del self.state[key]
            self.touch()

    def has(self, key: str) -> bool:
        """Whether the state has this key."""
        return key in self.state

    def clear(self) -> None:
        """Empty the state."""
        self.state.clear()
        self.touch()

    def touch(self) -> None:
        """Note that it is used now."""
        self.last_accessed_at = now()

    def is_expired(self) -> bool:
        """Whether its time is over."""
        return self.expiry_at is not None and now() >= self.expiry_at

    def to_dict(self) -> dict[str, Any]:
        """What may be shown: no state values, no history, no `auth_info`."""
        return {
            "session_id": self.session_id,
            "user_id": self.user_id,
            "created_at": self.created_at.isoformat(),
            "last_accessed_at": self.last_accessed_at.isoformat(),
            "expiry_at": self.expiry_at.isoformat() if self.expiry_at else None,
            "state_keys": list(self.state),
            "preferences": self.preferences,
            "message_count": self.message_count,
        }
