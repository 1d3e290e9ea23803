"""What a whole answer over the network costs, beside other libraries and the transport alone."""

from __future__ import annotations

import asyncio
import statistics
from typing import TYPE_CHECKING

from dovetail import Kernel
from tests.benchmarks.harness import Cost, Goal, Row, Subject, compare, costed, interleave, profile
from tests.benchmarks.peers import libraries, transports
from tests.benchmarks.upstream import TEXT, upstream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.benchmarks.harness import Step

ROUNDS = 7
MANY = 32
OURS = "`kernel.chat`"
OVER_HTTPX = '`kernel.chat`, `transport = "httpx"`'
TRANSPORT = "httpx over httpx-aiohttp"
CALLS = {"httpx": 320, "openai": 256, "litellm": 128, "pydantic-ai": 96}
"""Calls of a sample of the slow ones; the others make more, so that each takes about as long."""
FAST_CALLS = 960

LEAST = {
    "httpx": Goal(3.5, "≥ 3.5", least=True),
    "openai": Goal(3.5, "≥ 3.5", least=True),
    "litellm": Goal(8.0, "≥ 8", least=True),
    "pydantic-ai": Goal(10.0, "≥ 10", least=True),
}
NAMES = {
    "httpx": "httpx",
    "openai": "openai SDK",
    "litellm": "litellm.acompletion",
    "pydantic-ai": "pydantic-ai run",
}
CPU = Goal(1.4, "≤ 1.4")
ABOUT = f"""\
Whole answers, not streamed, from a scripted upstream in another process that writes the same bytes
at once. `kernel.chat("hi")` goes through plugin `openai`, with no middleware. httpx has `sniffio`
and keeps as many connections as dovetail does (by itself it keeps 20); the other libraries are as
they come. "The transport it uses" is `httpx.AsyncClient` over httpx-aiohttp, which sends the same
JSON and parses the answer. The rows of transports alone do no more either, each beside httpx over
its own; they are why dovetail's default is httpx-aiohttp. CPU is that of the client's process,
threads included. litellm is not the newest there is but the newest that can be installed beside
the others. {ROUNDS} rounds of {FAST_CALLS} calls, fewer of slow peers, {MANY} at a time or one
after another."""

Costs = dict[str, list[Cost]]


async def measure() -> Subject:
    """All ways to ask, at one and at many at a time."""
    async with upstream() as url, transports(url) as bare, libraries(url) as others:
        kernel = Kernel.open(config(url), env={})
        async with kernel:
            chat = whole(kernel, "ours")
            steps = {OURS: chat, OVER_HTTPX: whole(kernel, "slow"), **bare, **others}
            taken = {n: await interleave(_samples(steps, n), ROUNDS) for n in (MANY, 1)}
            subject = Subject("Calls", ABOUT, _rows(taken, bare))
            if any(row.missed and "32" in row.what for row in subject.rows):
                subject.profiles["32 calls at a time"] = await profile(_at_once(chat), 30)
            if any(row.missed and "32" not in row.what for row in subject.rows):
                subject.profiles["one call"] = await profile(chat, 500)
    return subject


def config(url: str) -> dict[str, object]:
    """The upstream as two instances of plugin `openai`, over either transport."""
    return {
        "chat": {"model": "ours/whole"},
        "providers": {
            "ours": {"use": "openai", "base_url": url},
            "slow": {"use": "openai", "base_url": url, "http": {"transport": "httpx"}},
        },
    }


def whole(kernel: Kernel, instance: str) -> Step:
    """A step that asks for a whole answer."""

    async def step(_: int) -> None:
        assert (await kernel.chat("hi", model=f"{instance}/whole")).text == TEXT

    return step


def _samples(steps: dict[str, Step], at_once: int) -> dict[str, Callable[[], Awaitable[Cost]]]:
    return {
        name: costed(step, CALLS.get(name, FAST_CALLS), at_once=at_once)
        for name, step in steps.items()
    }


def _rows(taken: dict[int, Costs], bare: dict[str, Step]) -> list[Row]:
    rows = [_rate(OURS, taken, MANY, name, LEAST[name]) for name in LEAST]
    for at_once in (1, MANY):
        ours = [cost.cpu for cost in taken[at_once][OURS]]
        transport = [cost.cpu for cost in taken[at_once]["httpx-aiohttp"]]
        what = f"CPU of {OURS} over the network, {at_once} at a time"
        rows.append(compare(what, ours, (TRANSPORT, transport), CPU))
    rows.append(_rate(OURS, taken, 1, "openai"))
    rows.append(_rate(OVER_HTTPX, taken, MANY, "httpx"))
    for at_once in (1, MANY):
        rows += [_rate(name, taken, at_once, "httpx") for name in bare if name != "httpx"]
    return rows


def _rate(
    ours: str, taken: dict[int, Costs], at_once: int, peer: str, goal: Goal | None = None
) -> Row:
    mine, theirs = (
        1 / statistics.median(cost.time for cost in taken[at_once][name]) for name in (ours, peer)
    )
    what = f"{ours} over the network" if "kernel" in ours else f"transport alone: {ours}"
    what += f", {at_once} at a time"
    peers = f"{theirs:,.0f} calls/s {NAMES[peer]}"
    return Row(what, f"{mine:,.0f} calls/s", peers, mine / theirs, goal)


def _at_once(step: Step) -> Step:
    async def many(number: int) -> None:
        await asyncio.gather(*(step(number) for _ in range(MANY)))

    return many
