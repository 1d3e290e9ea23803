"""What an event bus promises: events by topic, at least once to every group that subscribed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import Field

from dovetail.component import Component, Settings
from dovetail.config.durations import Duration
from dovetail.events.event import Event
from dovetail.events.wire import moment_of

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class BusEvent(Event):
    """An event as it came over a bus; `data` is the mapping that was published."""

    __slots__ = ("_attempt", "_key")

    def __init__(
        self, topic: str, data: Mapping[str, Any], *, attempt: int = 1, key: str | None = None
    ) -> None:
        """`data` has its `event_id` and `timestamp`."""
        super().__init__(
            topic, data, timestamp=moment_of(data["timestamp"]), event_id=data["event_id"]
        )
        self._attempt = attempt
        self._key = key

    @property
    def topic(self) -> str:
        """Another word for `name`."""
        return self.name

    @property
    def attempt(self) -> int:
        """How often this group was given it, this time included."""
        return self._attempt

    @property
    def key(self) -> str | None:
        """Those with the same key are handled in the order in which they were published."""
        return self._key


BusHandler: TypeAlias = Callable[[BusEvent], Awaitable[object]]


class BusSettings(Settings):
    """What an operator may set for any event bus, under `[bus]`."""

    attempts: int = Field(
        default=5, ge=1, le=1000, description="How often a group is given an event in all."
    )
    first_wait: Duration = Field(
        default=0.1, description="How long after the first failure; doubled each time."
    )
    longest_wait: Duration = Field(default=30.0, description="How long between two attempts.")
    handler_timeout: Duration = Field(
        default=30.0, gt=0, description="How long a handler may take over one event."
    )
    publish_timeout: Duration = Field(
        default=5.0, description="How long publishing waits for room."
    )
    drain_timeout: Duration = Field(
        default=5.0, description="How long what waits may take when the bus stops."
    )
    dead_letters: int = Field(
        default=1000,
        ge=1,
        description="How many events of a topic that nobody could handle it keeps.",
    )
    max_event_bytes: int = Field(
        default=1_048_576, ge=1024, description="How long an event may be, as JSON."
    )


class Subscription(ABC):
    """One member of a group; a member is given one event at a time."""

    topic: str
    """The topic or pattern."""
    group: str

    @abstractmethod
    async def close(self) -> None:
        """Take no more events; returns when the one at hand is done, within `drain_timeout`."""


class EventBus(Component, ABC):
    """Carries events from publishers to groups of consumers.

    Every group that has subscribed to a topic is given each event of it at least once: again, after
    a growing wait, when its handler raised or took too long, up to `attempts` times; after that the
    event is published as `<topic>.dead`. One member of a group gets each event. Those with the same
    `key` are handled in the order of publishing within a group, others as they come. An event has
    an `event_id`, by which a handler knows one that it has had already.
    """

    @abstractmethod
    async def publish(self, topic: str, event: Mapping[str, Any], *, key: str | None = None) -> str:
        """Hand `event` to every group of `topic`; its `event_id`.

        It is given an `event_id` and a `timestamp` unless it has them, and travels as JSON. When
        this returns the bus has it. Waits for room up to `publish_timeout`.

        Raises:
            EventError: it is no mapping, nothing that JSON has, too long, or nested too deep.
            BusFull: a group has no room for it. No group was given it: publish it again.
            BusClosed: the bus does not run.
        """

    @abstractmethod
    async def subscribe(self, topic: str, handler: BusHandler, *, group: str) -> Subscription:
        """Have `handler` called with events of `topic` as a member of `group`.

        In `topic`, `*` stands for any text: `memory.*`. A group belongs to its topic: groups of the
        same name on `memory.*` and on `memory.created` are two. When the handler returns, the event
        is done with; whatever it raises means it is to be given again. It gets a mapping of its
        own, which it may change.

        Raises:
            EventError: `topic` or `group` is none.
            BusClosed: the bus does not run.
        """

    @abstractmethod
    async def dead_letters(self, topic: str, *, last: int = 100) -> Sequence[BusEvent]:
        """The latest events of `topic` that some group could not handle, oldest first.

        Each is what was published, with a mapping `dead_letter` added: `topic`, `group`,
        `attempts` and `error`. To have one handled again, publish it without that.
        """

    async def __aenter__(self) -> Self:
        """Start it."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        await self.stop()
