"""The face of an event bus for those who publish."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail.events.wire import stamped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dovetail.events.bus import EventBus


class EventPublisher:
    """Publishes events to the topics of a bus."""

    def __init__(self, bus: EventBus) -> None:
        self.bus = bus

    async def publish(self, topic: str, event: Mapping[str, Any], *, key: str | None = None) -> str:
        """Publish `event` with an `event_id` and a `timestamp` added; its `event_id`.

        `event` itself is left as it is. One that has these keys keeps what it has there: publish it
        again with them if you do not know whether it arrived. Raises what `EventBus.publish` does.
        """
        return await self.bus.publish(topic, stamped(event), key=key)
