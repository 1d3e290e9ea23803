"""A publisher for tests, which keeps what it is told to publish."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail.events.publisher import EventPublisher
from dovetail.events.wire import check_key, check_topic, encode, stamped

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES = 1_048_576
"""As many as a bus takes unless its config says else."""


class MockEventPublisher(EventPublisher):
    """Publishes nothing, to nobody, and notes it in `published_events`.

    It refuses what a bus would refuse. Set `error` to have it fail instead.
    """

    def __init__(self) -> None:
        self.published_events: list[dict[str, Any]] = []
        """In order; each has `topic`, `event` (with its `event_id` and `timestamp`) and `key`."""
        self.error: BaseException | None = None
        """What `publish` raises, such as `BusFull()`."""

    async def publish(self, topic: str, event: Mapping[str, Any], *, key: str | None = None) -> str:
        """Note it; the `event_id`. See `EventPublisher.publish`."""
        if self.error is not None:
            raise self.error
        check_topic(topic)
        check_key(key)
        made = stamped(event)
        encode(made, MOST_BYTES)
        self.published_events.append({"topic": topic, "event": made, "key": key})
        event_id: str = made["event_id"]
        return event_id

    def published(self, topic: str) -> list[dict[str, Any]]:
        """The events of one topic, in order."""
        return [note["event"] for note in self.published_events if note["topic"] == topic]
