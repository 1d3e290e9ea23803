"""Event providers that the tests tell of events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from dovetail.events.dispatcher import EventDispatcher
from dovetail.events.provider import EventProvider
from dovetail.events.registry import ProviderRegistry

if TYPE_CHECKING:
    from collections.abc import Sequence


class Listener(EventProvider):
    """Notes what it is told; what it is made with goes before what its class says."""

    def __init__(
        self,
        name: str = "listener",
        events: Sequence[str] = ("*",),
        heard: list[Any] | None = None,
        **options: Any,
    ) -> None:
        self.instance = name
        self.events = events
        self.heard: list[Any] = [] if heard is None else heard
        for option, value in options.items():
            setattr(self, option, value)

    async def handle_event(self, event: str, data: Any) -> None:
        """Note it."""
        self.heard.append((event, data))


class Marked(Listener):
    """Notes its own name beside the event's, for tests of order."""

    async def handle_event(self, event: str, data: Any) -> None:
        """Note it."""
        self.heard.append((self.instance, event))


class Raising(Listener):
    """Raises `error`."""

    error: BaseException = ValueError("broken")

    async def handle_event(self, event: str, data: Any) -> None:
        """Fail."""
        await super().handle_event(event, data)
        raise self.error


class Hanging(Listener):
    """Waits for ever; lets itself be cancelled."""

    async def handle_event(self, event: str, data: Any) -> None:
        """Hang."""
        await super().handle_event(event, data)
        try:
            await asyncio.Event().wait()
        finally:
            self.heard.append("ended")


class Stubborn(Listener):
    """Swallows the first `swallows` cancellations and goes on waiting."""

    swallows = 10**9
    swallowed = 0

    async def handle_event(self, event: str, data: Any) -> None:
        """Hang on."""
        await super().handle_event(event, data)
        while self.swallowed < self.swallows:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.swallowed += 1


class Gated(Listener):
    """Waits for its gate before it notes anything."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.gate = asyncio.Event()
        self.came = asyncio.Event()
        super().__init__(*args, **options)

    async def handle_event(self, event: str, data: Any) -> None:
        """Wait, then note it."""
        self.came.set()
        await self.gate.wait()
        await super().handle_event(event, data)


def dispatcher(*providers: EventProvider) -> EventDispatcher:
    """A dispatcher that tells these."""
    registry = ProviderRegistry()
    for provider in providers:
        registry.register(provider)
    return EventDispatcher(registry)
