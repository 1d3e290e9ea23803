"""Telling providers of events."""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeAlias

import structlog

from dovetail.context import current_context
from dovetail.events.deliveries import NO_LIMIT, Deliveries, Plan
from dovetail.events.event import EVENT_FAILED, OWN_EVENTS, Event
from dovetail.events.registry import KNOWN_NAMES
from dovetail.middleware import EventCall, compose, operations_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from dovetail.events.deliveries import Handle
    from dovetail.events.failure import Failed
    from dovetail.events.provider import EventProvider
    from dovetail.events.registry import ProviderRegistry, Registration
    from dovetail.middleware import Middleware

    EventStep: TypeAlias = Callable[[EventCall], Awaitable[None]]
    Compose: TypeAlias = Callable[[Sequence[Middleware], EventStep], EventStep]

log = structlog.get_logger("dovetail")


def compose_event(middleware: Sequence[Middleware], terminal: EventStep) -> EventStep:
    """One step: the middleware in order, outermost first, around `terminal`."""
    return compose(middleware, "event", terminal)


class EventDispatcher:
    """Tells the providers of a registry of events, in order.

    A provider that fails or takes too long harms neither the emitter nor the next one: that is
    logged, and told to the others as `event_failed`. Of `middleware`, outermost first, what has the
    operation `event` wraps every delivery; `compose` makes one step of it.

    Used on one event loop at a time. Where delivery is queued, the latest dispatcher that a
    provider's mailbox was given to does the delivering.
    """

    def __init__(
        self,
        registry: ProviderRegistry,
        middleware: Iterable[Middleware] = (),
        *,
        compose: Compose = compose_event,
    ) -> None:
        self.registry = registry
        self._middleware = [m for m in middleware if "event" in operations_of(type(m))]
        self._compose = compose
        self._deliveries = Deliveries()
        self._plans: dict[object, Plan] = {}
        self._handles: dict[Registration, Handle] = {}
        """For each provider, what delivers an `Event` to it, its queue left out."""
        self.renew()
        registry.changes.add(self)

    def wants(self, event: str) -> bool:
        """Whether anybody is told of `event`: ask before making data that costs something."""
        plan = self._plans.get(event)
        return bool((self._plan_for(event) if plan is None else plan).handles)

    async def dispatch(
        self,
        event: str | Event,
        data: Any = None,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell all who asked for `event`.

        `data` and `metadata` belong to a name; an `Event` has its own. `data` is handed on as it
        is: nobody changes it, now or later. Nothing that a provider raises is raised here. If the
        caller is cancelled, so is the provider at work, and those after it are not told.
        """
        waiting = self.begin(event, data, metadata)
        if waiting is not None:
            await waiting

    def begin(
        self, event: str | Event, data: Any = None, metadata: Mapping[str, Any] | None = None
    ) -> Awaitable[None] | None:
        """As `dispatch`, for emitters that every microsecond matters to.

        What is returned must be awaited at once; None says that no provider had to wait, and all
        were told.
        """
        plan = self._plans.get(event)  # an `Event` is never in it
        if plan is None:
            name = event.name if isinstance(event, Event) else event
            plan = self._plans.get(name) or self._plan_for(name)
            if isinstance(event, Event):
                data = event.data
                if not plan.full:
                    event = name
        if not plan.handles:
            return None
        if plan.full and not isinstance(event, Event):
            event = Event(event, data, metadata=metadata)
        return self._deliveries.begin(plan, event, data, self)

    def close(self) -> None:
        """Let its timer go. Providers and their queues are not the dispatcher's."""
        self._deliveries.close()

    def failed(self, event: Any, failure: Failed) -> None:
        """Log that a provider failed; the deliveries call this."""
        message = "an event provider failed"
        log.error(
            message,
            provider=failure.provider,
            name=_name(event),
            error=failure.words,
            where=failure.where,
            seconds=round(failure.seconds, 6),
        )

    async def tell(self, event: Any, failures: list[Failed]) -> None:
        """Make events of providers' failures; the deliveries call this."""
        name = _name(event)
        if name in OWN_EVENTS:
            return
        for failure in failures:
            data = {
                "event": name,
                "provider": failure.provider,
                "error": type(failure.error).__name__,
                "error_message": failure.words,
                "seconds": failure.seconds,
            }
            await self._tell_others(EVENT_FAILED, data, failure.provider)

    async def _tell_others(self, name: str, data: Mapping[str, Any], provider: str) -> None:
        """Tell all but `provider` of what happened to it; nobody's queue is waited for."""
        event = Event(name, data)
        others = [item for item in self.registry.registrations(name) if item.name != provider]
        for item in others:
            if item.mailbox is not None:
                item.mailbox.offer(event)
        plan = self._plan([item for item in others if item.mailbox is None], full=True)
        waiting = self._deliveries.begin(plan, event, data, self)
        if waiting is not None:
            await waiting

    def renew(self) -> None:
        """Take over what has changed in the registry, which calls this."""
        self._plans.clear()
        everybody = self.registry.registrations()
        self._handles = {item: self._handle(item) for item in everybody}
        for item in everybody:
            self._deliveries.look_often_enough(item.options.handler_timeout)
            if item.mailbox is not None:
                alone = Plan((self._handles[item],), (item.name,), (item.options.handler_timeout,))
                item.mailbox.attach(self._deliver_by(alone), self._tell_others)

    def _deliver_by(self, plan: Plan) -> Callable[[Event], Awaitable[None]]:
        async def deliver(event: Event) -> None:
            waiting = self._deliveries.begin(plan, event, event.data, self)
            if waiting is not None:
                await waiting

        return deliver

    def _plan_for(self, name: Any) -> Plan:
        if not isinstance(name, str):
            message = f"an event is an `Event` or its name, not {name!r:.80}"
            raise TypeError(message)
        if len(self._plans) >= KNOWN_NAMES:
            self._plans.clear()
        found = self.registry.registrations(name)
        full = bool(self._middleware) or any(item.mailbox is not None for item in found)
        made = self._plans[name] = self._plan(found, full=full)
        return made

    def _plan(self, registrations: Sequence[Registration], *, full: bool) -> Plan:
        handles: list[Handle] = []
        limits = []
        for item in registrations:
            if item.mailbox is not None:
                handles.append(item.mailbox.put)
                limits.append(NO_LIMIT)  # the mailbox has one
            else:
                handles.append(self._handles[item] if full else _handler(item.provider))
                limits.append(item.options.handler_timeout)
        names = tuple(item.name for item in registrations)
        return Plan(tuple(handles), names, tuple(limits), full)

    def _handle(self, item: Registration) -> Handle:
        provider, name = item.provider, item.name
        if not self._middleware:
            told = _handler(provider)
            return lambda event, data: told(event.name, data)
        step: EventStep = self._compose(self._middleware, _terminal(provider))

        async def handle(event: Event, _: Any) -> None:
            await step(EventCall(event, name, current_context()))

        return handle


def _terminal(provider: EventProvider) -> EventStep:
    return lambda call: provider.handle_event(call.event.name, call.event.data)


def _handler(provider: EventProvider) -> Handle:
    """Its `handle_event`, which is a coroutine function or is made one."""
    if iscoroutinefunction(provider.handle_event):
        return provider.handle_event

    async def handle(event: str, data: Any) -> None:
        await provider.handle_event(event, data)

    return handle


def _name(event: Event | str) -> str:
    return event.name if isinstance(event, Event) else event
