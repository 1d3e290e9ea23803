"""The face of an event bus for those who consume."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeAlias

from dovetail.errors import EventError
from dovetail.events.wire import check_handler, check_topic, topic_matcher

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from dovetail.events.bus import BusEvent, EventBus, Subscription

ConsumerHandler: TypeAlias = Callable[[dict[str, Any]], Awaitable[object]]

REMEMBERED = 10_000
"""Of how many events that are to be given again it knows which handlers have done with them."""


class EventConsumer:
    """Calls handlers with the events of topics, as a member of a group.

    `topics` may be patterns such as `memory.*`; without them, those that handlers are registered
    for are subscribed to. A handler gets the event's mapping, with its `event_id` and `timestamp`.
    When one raises, the event is given to it again, and not to those that have done with it.
    """

    def __init__(self, bus: EventBus, group_id: str, topics: Sequence[str] = ()) -> None:
        self.bus = bus
        self.group_id = group_id
        self.topics = tuple(dict.fromkeys([topics] if isinstance(topics, str) else topics))
        self.handlers: dict[str, list[ConsumerHandler]] = {}
        self._subscriptions: list[Subscription] = []
        self._done: OrderedDict[tuple[str, str], set[ConsumerHandler]] = OrderedDict()

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return bool(self._subscriptions)

    def register_handler(self, topic: str, handler_func: ConsumerHandler) -> None:
        """Have `handler_func` called with events of `topic`, which may be a pattern.

        Raises:
            EventError: `topic` is none, or is none of those the consumer was made for.
        """
        check_topic(topic, pattern=True)
        check_handler(handler_func)
        known = self.topics or (tuple(self.handlers) if self.running else (topic,))
        if not any(topic == name or topic_matcher(name)(topic) for name in known):
            names = ", ".join(f"`{name}`" for name in known)
            why = f"is subscribed to {names}, so a handler for `{topic}` would never be called"
            message = f"this consumer {why}; name it in `topics`"
            raise EventError(message)
        self.handlers.setdefault(topic, []).append(handler_func)

    async def start(self) -> None:
        """Subscribe; the bus must run. Raises what `EventBus.subscribe` does."""
        if self._subscriptions:
            return
        topics = self.topics or tuple(self.handlers)
        if not topics:
            message = "a consumer without topics: give it `topics`, or register a handler first"
            raise EventError(message)
        try:
            for topic in topics:
                made = await self.bus.subscribe(topic, self._handle, group=self.group_id)
                self._subscriptions.append(made)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Take no more events; see `Subscription.close`."""
        subscriptions, self._subscriptions = self._subscriptions, []
        await asyncio.gather(*(subscription.close() for subscription in subscriptions))

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

    async def _handle(self, event: BusEvent) -> None:
        """Call at once all handlers that have not done with `event`; raise what they raise."""
        about = (event.topic, event.event_id)
        done = self._done.pop(about, set())
        left = [
            handler
            for topic, handlers in self.handlers.items()
            if topic == event.topic or topic_matcher(topic)(event.topic)
            for handler in handlers
            if handler not in done
        ]
        try:
            results = await asyncio.gather(
                *(self._call(handler, event, done) for handler in left), return_exceptions=True
            )
        except BaseException:
            self._remember(about, done)
            raise
        errors = [result for result in results if isinstance(result, BaseException)]
        if errors:
            self._remember(about, done)
            if len(errors) == 1:
                raise errors[0]
            message = f"{len(errors)} handlers of `{event.topic}` failed"
            raise BaseExceptionGroup(message, errors)

    async def _call(
        self, handler: ConsumerHandler, event: BusEvent, done: set[ConsumerHandler]
    ) -> None:
        try:
            await handler(deepcopy(event.data))  # each its own
        except SystemExit as error:  # which would end the program from any task
            message = "a handler of events raised SystemExit"
            raise EventError(message) from error
        done.add(handler)

    def _remember(self, about: tuple[str, str], done: set[ConsumerHandler]) -> None:
        self._done[about] = done
        while len(self._done) > REMEMBERED:
            self._done.popitem(last=False)
