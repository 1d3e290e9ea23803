"""What it costs to tell providers of an event, beside awaiting their handlers oneself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from dovetail import EventDispatcher, EventProvider, InProcessEventBus, ProviderRegistry
from tests.benchmarks.harness import Goal, Subject, compare, interleave, profile, timed

if TYPE_CHECKING:
    from dovetail import BusEvent
    from tests.benchmarks.harness import Step

ROUNDS = 41
TIMES = 5000
FEW = 200

TWICE = Goal(2.0, "≤ 2")
ABOUT = f"""\
Five event providers whose `handle_event` returns at once. `await dispatcher.dispatch(name, data)`
is set beside five lines `await provider.handle_event(name, data)`; "that nobody wants" beside an
`async def` that does nothing. A handler that has to wait is watched, so the same is measured with
handlers that `await asyncio.sleep(0)`. Queued is one provider whose events are taken off a queue,
the bus is one `publish` that one handler gets; both count until the handler has returned, beside
the one await. {ROUNDS} rounds of {TIMES} events, {FEW} of the bus and of handlers that wait."""


class Quick(EventProvider):
    """Returns at once."""

    events = ("told",)

    async def handle_event(self, event: str, data: Any) -> None:
        """Nothing."""


class Waits(Quick):
    """Waits for the event loop once."""

    async def handle_event(self, event: str, data: Any) -> None:
        """Wait."""
        await asyncio.sleep(0)


class Queued(Quick):
    """Gets its events from a queue."""

    delivery = "queued"
    queue_size = TIMES


async def measure() -> Subject:
    """Dispatching, queueing and publishing, each beside plain awaits."""
    data = {"n": 1}
    quick, quick_dispatch = _five(Quick)
    waits, waits_dispatch = _five(Waits)
    queue = ProviderRegistry()
    mailbox = queue.register(Queued()).mailbox
    assert mailbox is not None
    queued = EventDispatcher(queue)
    steps: dict[str, Step] = {
        "five": _awaits(quick, data),
        "dispatch": lambda _: quick_dispatch.dispatch("told", data),
        "five that wait": _awaits(waits, data),
        "dispatch that waits": lambda _: waits_dispatch.dispatch("told", data),
        "nothing": lambda _: _nothing("unheard", data),
        "nobody": lambda _: quick_dispatch.dispatch("unheard", data),
        "one": lambda _: quick[0].handle_event("told", data),
    }
    few = {name: FEW if "wait" in name else TIMES for name in steps}
    samples = {name: timed(step, few[name]) for name, step in steps.items()}

    async def fill(_: int) -> None:
        for _number in range(TIMES):
            await queued.dispatch("told", data)
        await mailbox.drain(60)

    samples["queued"] = timed(fill, 1, items=TIMES)
    async with InProcessEventBus() as bus:
        handled = asyncio.Semaphore(0)

        async def handle(_: BusEvent) -> None:
            handled.release()

        async def publish(_: int) -> None:
            for _number in range(FEW):
                await bus.publish("told", data)
            for _number in range(FEW):
                await handled.acquire()

        await bus.subscribe("told", handle, group="bench")

        samples["bus"] = timed(publish, 1, items=FEW)
        taken = await interleave(samples, ROUNDS)
    await mailbox.close()
    rows = [
        compare(
            "an event to five providers", taken["dispatch"], ("five awaits", taken["five"]), TWICE
        ),
        compare(
            "an event to five that wait",
            taken["dispatch that waits"],
            ("five awaits", taken["five that wait"]),
            TWICE,
        ),
        compare("an event that nobody wants", taken["nobody"], ("one await", taken["nothing"])),
        compare("a queued event", taken["queued"], ("one await", taken["one"])),
        compare("an event over the bus", taken["bus"], ("one await", taken["one"])),
    ]
    subject = Subject("Events", ABOUT, rows)
    for row, name in zip(rows, ("dispatch", "dispatch that waits"), strict=False):
        if row.missed:
            subject.profiles[row.what] = await profile(steps[name], TIMES)
    return subject


def _five(kind: type[Quick]) -> tuple[list[Quick], EventDispatcher]:
    registry = ProviderRegistry()
    providers = []
    for number in range(5):
        provider = kind()
        provider.instance = f"p{number}"
        registry.register(provider)
        providers.append(provider)
    return providers, EventDispatcher(registry)


def _awaits(providers: list[Quick], data: object) -> Step:
    a, b, c, d, e = providers

    async def step(_: int) -> None:
        await a.handle_event("told", data)
        await b.handle_event("told", data)
        await c.handle_event("told", data)
        await d.handle_event("told", data)
        await e.handle_event("told", data)

    return step


async def _nothing(event: str, data: object) -> None:
    """Nobody is told."""
