"""What an `EventProvider` promises."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar, cast

from dovetail.events.catalogue import KINDS
from dovetail.events.dispatcher import EventDispatcher
from dovetail.events.provider import check_event_provider, delivery_options
from dovetail.events.registry import ProviderRegistry
from dovetail.testing.component import ComponentContract
from dovetail.testing.fake import FakeModel, fake_plugin
from dovetail.testing.subject import INSTANCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dovetail.events.provider import EventProvider
    from dovetail.kernel import Kernel
    from dovetail.testing.subject import Subject

UNHEARD_OF = "something_nobody_has_heard_of"
ODD: tuple[Any, ...] = (None, "text", 7, b"bytes", [1, {"a": [2]}], {1, 2}, {}, object())
"""What a host may publish beside dictionaries."""


class EventProviderContract(ComponentContract):
    """Subclass it, and give a fixture `subject` that returns a `Subject`."""

    hook = "providers"
    samples: ClassVar[Mapping[str, Any]] = {}
    """Data of events that it names and that are not the kernel's own, by name."""
    at_once: ClassVar[int] = 50
    """How many events it is told of at the same time."""

    def open(self, subject: Subject) -> Kernel:
        """A kernel with the subject, and a fake model to talk to."""
        return subject.open(
            {"chat": {"model": "fake"}, "providers": {"fake": {}, INSTANCE: subject.table}},
            fake=fake_plugin(FakeModel()),
        )

    def find(self, kernel: Kernel) -> EventProvider:
        """The running provider."""
        return cast("EventProvider", kernel.generation.providers[INSTANCE])

    async def use(self, kernel: Kernel) -> None:
        """A turn, of which it is told, and whatever else it names."""
        await kernel.chat("Hello")
        for name, data in self._told(self.find(kernel)):
            await kernel.publish(name, data)

    async def test_it_says_which_events_it_wants(self, kernel: Kernel) -> None:
        """`events` is a list of names or patterns, and not empty.

        Mend: `events = ("agent_complete",)`.
        """
        provider = self.find(kernel)
        check_event_provider(provider)
        assert provider.events, "it asks for no event, so it is told of none"

    async def test_its_delivery_can_be_what_it_says(self, kernel: Kernel) -> None:
        """`priority`, `delivery` and the limits are what `EventSettings` allows.

        Mend: see `EventProvider` and `EventSettings`.
        """
        options = delivery_options(self.find(kernel))
        assert isinstance(options.priority, int), f"`priority` is {options.priority!r}"
        assert options.delivery in ("inline", "queued"), f"`delivery` is {options.delivery!r}"
        kinds = ("wait", "drop_oldest", "drop_newest")
        assert options.when_full in kinds, f"`when_full` is {options.when_full!r}"
        assert options.queue_size >= 1, f"`queue_size` is {options.queue_size!r}"
        assert options.handler_timeout > 0, f"`handler_timeout` is {options.handler_timeout!r}"
        assert options.drain_timeout >= 0, f"`drain_timeout` is {options.drain_timeout!r}"

    async def test_it_handles_every_event_it_asks_for(self, kernel: Kernel) -> None:
        """Told of an event with the data it has, it raises nothing and returns.

        Mend: see the traceback; the events and their data are in docs/events.md. Name samples of
        events that are not the kernel's in the contract's `samples`.
        """
        provider = self.find(kernel)
        told = [*self._told(provider)]
        for pattern in provider.events:
            known = any(fnmatchcase(name, pattern) for name, _ in told)
            assert known, (
                f"no event matches `{pattern}`: is it misspelt? If it is not the kernel's own, "
                "give data of it in `samples`"
            )
        for name, data in told:
            async with self.in_time(f"`handle_event({name!r}, …)` did not return"):
                await provider.handle_event(name, data)

    async def test_data_may_grow(self, kernel: Kernel) -> None:
        """A key that it does not know makes no difference: events gain some with time.

        Mend: read the keys you need; do not unpack the whole into a signature or a strict model.
        """
        provider = self.find(kernel)
        for name, data in self._told(provider):
            if isinstance(data, dict):
                async with self.in_time(f"`handle_event({name!r}, …)` did not return"):
                    await provider.handle_event(name, {**data, "a_key_of_later": [1]})

    async def test_it_changes_nothing_it_is_told(self, kernel: Kernel) -> None:
        """All who are told share the data.

        Mend: copy what you change.
        """
        provider = self.find(kernel)
        for name, data in self._told(provider):
            before = deepcopy(data)
            await provider.handle_event(name, data)
            assert data == before, f"the data of `{name}` became {data!r:.500}"

    async def test_who_asks_for_everything_can_take_anything(self, kernel: Kernel) -> None:
        """If a pattern matches any name, so may data be anything: hosts publish their own.

        Mend: look at the type of `data` before you use it, or ask for the events you know.
        """
        provider = self.find(kernel)
        if not any(fnmatchcase(UNHEARD_OF, pattern) for pattern in provider.events):
            return
        for data in ODD:
            async with self.in_time(f"it did not return from {data!r:.80}"):
                await provider.handle_event(UNHEARD_OF, data)

    async def test_many_at_once(self, kernel: Kernel) -> None:
        """Turns run side by side, so it is told of the next event before it is done with the last.

        Mend: keep what belongs to one event in local variables; guard what is shared by a lock.
        """
        provider = self.find(kernel)
        told = [*self._told(provider)] * self.at_once
        async with self.in_time(f"it did not handle {len(told)} events at once"):
            await asyncio.gather(
                *(provider.handle_event(name, data) for name, data in told[: self.at_once])
            )

    async def test_it_can_be_cancelled(self, kernel: Kernel) -> None:
        """Cancelled at any of its awaits, a handler ends, and the next event is handled.

        Mend: let `CancelledError` through, and give back in `finally` what it holds.
        """
        provider = self.find(kernel)
        name, data = next(self._told(provider), (UNHEARD_OF, {}))
        for steps in range(20):
            task = asyncio.create_task(cast("Any", provider.handle_event(name, data)))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            async with self.in_time("a handler that was cancelled did not end"):
                await asyncio.wait([task])
            if not task.cancelled():
                assert task.exception() is None, f"cancelled, it raised {task.exception()!r}"
                break
        async with self.in_time("it did not handle an event after one was cancelled"):
            await provider.handle_event(name, data)

    async def test_it_is_told_through_a_dispatcher(self, kernel: Kernel) -> None:
        """As a host without a kernel uses it: registered, dispatched to, nothing fails.

        Mend: `handle_event` is `async def` and takes the event's name and its data.
        """
        failures: list[Any] = []
        provider = self.find(kernel)
        registry = ProviderRegistry()
        registration = registry.register(provider)
        dispatcher = _Noting(registry, failures)
        for name, data in self._told(provider):
            async with self.in_time(f"`{name}` was not delivered"):
                await dispatcher.dispatch(name, data)
        if registration.mailbox is not None:
            lost = await registration.mailbox.close(self.patience)
            assert not lost, f"{lost} events were not delivered"
        assert not failures, f"it failed: {failures[0]}"

    def _told(self, provider: EventProvider) -> Iterator[tuple[str, Any]]:
        """Events that it asks for, each with data."""
        known: dict[str, Any] = {kind.name: dict(kind.sample) for kind in KINDS}
        for name, data in {**known, **self.samples}.items():
            if any(fnmatchcase(name, pattern) for pattern in provider.events):
                yield name, deepcopy(data)


class _Noting(EventDispatcher):
    """Notes failures too."""

    def __init__(self, registry: ProviderRegistry, failures: list[Any]) -> None:
        super().__init__(registry)
        self._failures = failures

    def failed(self, event: Any, failure: Any) -> None:
        self._failures.append(failure)
        super().failed(event, failure)
