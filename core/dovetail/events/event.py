"""What happened: a name, data, and what is known beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from time import time
from typing import TYPE_CHECKING, Any

from dovetail.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENT_FAILED = "event_failed"
EVENT_DROPPED = "event_dropped"
OWN_EVENTS = frozenset((EVENT_FAILED, EVENT_DROPPED))
"""What the dispatcher emits itself. What goes wrong with these is only logged."""


class Event:
    """One thing that happened.

    Cheap to make: its id, and the datetime of when it was, are made when first asked for. All who
    are told share one event, so nobody changes `data`; `metadata` is where middleware leaves notes.
    """

    # Slots behind properties: a frozen dataclass reads the same and takes four times as long.
    __slots__ = ("__weakref__", "_data", "_event_id", "_metadata", "_name", "_timestamp")

    def __init__(
        self,
        name: str,
        data: Any = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        timestamp: datetime | float | None = None,
        event_id: str | None = None,
    ) -> None:
        self._name = name
        self._data = data
        self._metadata = dict(metadata) if metadata else None
        self._timestamp = time() if timestamp is None else _moment(timestamp)
        self._event_id = event_id

    @property
    def name(self) -> str:
        """What happened, such as `agent_complete`."""
        return self._name

    @property
    def data(self) -> Any:
        """What its name says; of the kernel's own events a mapping, see `catalogue.py`."""
        return self._data

    @property
    def metadata(self) -> dict[str, Any]:
        """What is known beside the data."""
        if self._metadata is None:
            self._metadata = {}
        return self._metadata

    @property
    def timestamp(self) -> datetime:
        """When it was, in UTC."""
        if not isinstance(self._timestamp, datetime):
            self._timestamp = datetime.fromtimestamp(self._timestamp, UTC)
        return self._timestamp

    @property
    def event_id(self) -> str:
        """A UUID of this event alone."""
        if self._event_id is None:
            self._event_id = new_id()
        return self._event_id

    def to_dict(self) -> dict[str, Any]:
        """All of it; the time as ISO 8601."""
        return {
            "name": self.name,
            "data": self.data,
            "metadata": self.metadata,
            "timestamp": self.timestamp.isoformat(),
            "event_id": self.event_id,
        }

    def __repr__(self) -> str:
        # Not the data: it may be huge, and hold what no log should.
        return f"<{type(self).__name__} {self.name!r}>"


def _moment(timestamp: datetime | float) -> datetime | float:
    if not isinstance(timestamp, datetime):
        return float(timestamp)
    if timestamp.tzinfo is None:
        message = f"{timestamp.isoformat()} says nothing of its time zone; use datetime.now(UTC)"
        raise ValueError(message)
    return timestamp.astimezone(UTC)
