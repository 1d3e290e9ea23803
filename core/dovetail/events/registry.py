"""Which providers are told of which event, and in which order."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from fnmatch import translate
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from dovetail.errors import EventError
from dovetail.events.mailbox import Mailbox
from dovetail.events.provider import check_event_provider, delivery_options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dovetail.events.provider import DeliveryOptions, EventProvider

KNOWN_NAMES = 1024
"""How many names of events it remembers the providers of; names come from code, so they are few."""


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """One provider, and how events are delivered to it."""

    provider: EventProvider
    name: str
    options: DeliveryOptions
    mailbox: Mailbox | None
    """Its queue, where delivery is queued."""
    wants: Callable[[str], object]
    """Whether it asked for events of this name."""


class Renews(Protocol):
    """Who hears of changes, such as a dispatcher."""

    def renew(self) -> None:
        """Somebody was registered or taken out."""


class ProviderRegistry:
    """Event providers: the lowest priority first, of equals who was registered first."""

    def __init__(self) -> None:
        self.changes: WeakSet[Renews] = WeakSet()
        """Who is to hear of every change."""
        self._all: list[Registration] = []
        self._found: dict[str, tuple[Registration, ...]] = {}

    def register(self, provider: EventProvider, *, mailbox: Mailbox | None = None) -> Registration:
        """Take a provider in, under the name of its instance or else of its class.

        `mailbox` is its queue from before, if it has one: after a change of the config a provider
        that stays keeps what waits for it. Otherwise one is made where delivery is queued.

        Raises:
            EventError: the name is taken, or its `events` are no names.
        """
        name = provider.instance or provider.name
        if any(name == known.name for known in self._all):
            message = (
                f"an event provider `{name}` is registered already; give it another `instance`"
            )
            raise EventError(message)
        check_event_provider(provider)
        options = delivery_options(provider)
        if options.delivery == "inline":
            mailbox = None
        elif mailbox is None:
            mailbox = Mailbox(name, options)
        made = Registration(provider, name, options, mailbox, _matcher(provider.events))
        self._all.append(made)
        self._all.sort(key=lambda item: item.options.priority)  # stable: equals stay in order
        self._changed()
        return made

    def unregister(self, name: str) -> Registration:
        """Take the provider of this name out. Its queue, if it has one, is left as it is.

        Raises:
            EventError: there is none.
        """
        for known in self._all:
            if known.name == name:
                self._all.remove(known)
                self._changed()
                return known
        message = f"no event provider `{name}` is registered"
        raise EventError(message)

    def registrations(self, event: str | None = None) -> tuple[Registration, ...]:
        """Who is told of `event`, or everybody, in order."""
        if event is None:
            return tuple(self._all)
        found = self._found.get(event)
        if found is None:
            if len(self._found) >= KNOWN_NAMES:
                self._found.clear()
            found = tuple(item for item in self._all if item.wants(event))
            self._found[event] = found
        return found

    def get(self, event: str) -> tuple[EventProvider, ...]:
        """The providers that are told of `event`, in order."""
        return tuple(item.provider for item in self.registrations(event))

    @property
    def providers(self) -> dict[str, list[EventProvider]]:
        """Every name and pattern that was asked for, with who asked, in order."""
        patterns = dict.fromkeys(name for item in self._all for name in item.provider.events)
        return {
            pattern: [i.provider for i in self._all if pattern in i.provider.events]
            for pattern in patterns
        }

    async def start(self) -> None:
        """Start every provider, in order; if one fails, stop those that have started, and raise.

        For a host without a kernel, which does this itself.
        """
        started: list[Registration] = []
        try:
            for item in self.registrations():
                started.append(item)
                await item.provider.start()
        except BaseException:
            await _stop(started)
            raise

    async def stop(self) -> None:
        """Deliver what waits in queues, within each one's `drain_timeout`; stop every provider."""
        await _stop(self.registrations())

    def _changed(self) -> None:
        self._found.clear()
        for item in self.changes:
            item.renew()


async def _stop(registrations: Sequence[Registration]) -> None:
    mailboxes = [item.mailbox for item in registrations if item.mailbox is not None]
    await asyncio.gather(*(mailbox.close() for mailbox in mailboxes))
    errors = []
    for item in reversed(registrations):
        try:
            await item.provider.stop()
        except Exception as error:  # noqa: BLE001 - the others are to be stopped all the same
            errors.append(error)
    if errors:
        raise ExceptionGroup("event providers failed to stop", errors)


def _matcher(patterns: Sequence[str]) -> Callable[[str], object]:
    """Patterns as in a shell: `*`, `?` and `[abc]`; upper and lower case differ."""
    return re.compile("|".join(translate(p) for p in patterns) or r"(?!)").match
