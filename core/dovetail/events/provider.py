"""Who is told of events: the base class, and how events are delivered to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pydantic import Field

from dovetail.chat.providers import Provider
from dovetail.component import Settings
from dovetail.config.durations import Duration
from dovetail.errors import EventError

DeliveryMode: TypeAlias = Literal["inline", "queued"]
WhenFull: TypeAlias = Literal["wait", "drop_oldest", "drop_newest"]


class EventSettings(Settings):
    """What an operator may set for any event provider; what is not set is the provider's own."""

    priority: int | None = Field(
        default=None, description="Who is told first: the lowest; 0 unless the plugin says else."
    )
    delivery: DeliveryMode | None = Field(
        default=None,
        description='"inline": whoever emits the event waits for it; "queued": it waits in a '
        "queue, and nobody for it.",
    )
    queue_size: int | None = Field(
        default=None, ge=1, le=1_000_000, description="How many events its queue holds; 1000."
    )
    when_full: WhenFull | None = Field(
        default=None,
        description='What happens when the queue is full: "wait" for room as long as '
        '`handler_timeout`, or drop the oldest or the newest event; "wait" unless the plugin says '
        "else.",
    )
    handler_timeout: Duration | None = Field(
        default=None, gt=0, description="How long it may take over one event; 5 s."
    )
    drain_timeout: Duration | None = Field(
        default=None, description="How long it may take over its queue when it stops; 5 s."
    )


class EventProvider(Provider, ABC):
    """Is told of events.

    Its settings may derive from `EventSettings`, so that an operator decides how events are
    delivered; what is not set there, or if they do not, is what the class says.
    """

    events: Sequence[str] = ()
    """Names of events, or patterns as in a shell: `agent_*`, `*`."""
    priority: int = 0
    """Who has the lowest is told first; of equals, who comes first in the config."""
    delivery: DeliveryMode = "inline"
    """Whether emitters wait for it. Choose `queued` if it talks to a network or a disk."""
    queue_size: int = 1000
    """How many events wait for it at most, where delivery is queued."""
    when_full: WhenFull = "wait"
    """What happens then: emitters wait up to `handler_timeout`, or an event is dropped."""
    handler_timeout: float = 5.0
    """Seconds it may take over one event; then it is cancelled."""
    drain_timeout: float = 5.0
    """Seconds that what waits in its queue may take when it stops."""

    async def start(self) -> None:
        """Initialize it."""
        await self.initialize()

    async def initialize(self) -> None:
        """Open what it needs. Raise `NotReady` if that may succeed later."""

    @abstractmethod
    async def handle_event(self, event: str, data: Any) -> None:
        """Be told of `event`. `data` is shared with others: do not change it.

        May be called again before it has returned, since events come from turns side by side; with
        queued delivery it is called for one event after the other. What it raises is logged, and
        harms neither the emitter nor the other providers.
        """


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    """How events are delivered to one provider; as in `EventProvider`."""

    priority: int = 0
    delivery: DeliveryMode = "inline"
    queue_size: int = 1000
    when_full: WhenFull = "wait"
    handler_timeout: float = 5.0
    drain_timeout: float = 5.0


_OPTIONS = tuple(DeliveryOptions.__dataclass_fields__)


def delivery_options(provider: EventProvider) -> DeliveryOptions:
    """What the provider's settings say if they are `EventSettings`, else what its class says."""
    settings = getattr(provider, "settings", None)
    values = {}
    for name in _OPTIONS:
        chosen = getattr(settings, name) if isinstance(settings, EventSettings) else None
        values[name] = getattr(provider, name) if chosen is None else chosen
    return DeliveryOptions(**values)


def check_event_provider(provider: EventProvider | type[EventProvider]) -> None:
    """Refuse a class or instance whose `events` are no names.

    Raises:
        EventError: saying what is wrong with them.
    """
    cls = provider if isinstance(provider, type) else type(provider)
    events: Any = provider.events
    if isinstance(events, str) or not isinstance(events, Sequence):
        message = (
            f"`{cls.__name__}.events` is {events!r:.80}; it must be a list of names, such as "
            '["agent_start", "agent_complete"]'
        )
        raise EventError(message)
    for name in events:
        if not isinstance(name, str) or not name:
            message = f"`{cls.__name__}.events` holds {name!r:.80}, which is no name of an event"
            raise EventError(message)
