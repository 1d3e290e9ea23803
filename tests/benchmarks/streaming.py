"""What a chunk that comes over the network costs, back to back and one by one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dovetail import Kernel
from tests.benchmarks.calls import TRANSPORT, config
from tests.benchmarks.harness import Goal, Subject, compare, costed, interleave, profile
from tests.benchmarks.peers import streams
from tests.benchmarks.upstream import CHUNKS, upstream

if TYPE_CHECKING:
    from tests.benchmarks.harness import Row, Step

ROUNDS = 11
PACED_ROUNDS = 13
ANSWERS = 8
PACED = 100
"""Chunks of an answer of which one comes every 10 ms."""
EVERY_10_MS = f"every-10-{PACED}-0"

TENTH = Goal(1 / 10, "≤ 1/10")
HALF_MORE = Goal(1.5, "≤ 1.5")
ABOUT = f"""\
CPU of the client's process for each chunk of text, everything included: the request, decoding,
JSON, the turn, the loop. Back to back is an answer of {CHUNKS:,} chunks that the upstream writes at
once, read from `kernel.stream` through plugin `openai` and from the openai SDK; {ROUNDS} rounds.
One by one are {ANSWERS} answers of {PACED} chunks at the same time, each with a chunk every 10 ms,
none at the same moment as another's; {PACED_ROUNDS} rounds. The transport is `httpx.AsyncClient`
over httpx-aiohttp, which reads bytes and does not look at them."""


async def measure() -> Subject:
    """Both paces."""
    profiles: dict[str, str] = {}
    async with upstream() as url, Kernel.open(config(url), env={}) as kernel:
        rows = [
            *await _back_to_back(kernel, url, profiles),
            await _one_by_one(kernel, url, profiles),
        ]
    return Subject("Chunks over the network", ABOUT, rows, profiles)


def streamed(kernel: Kernel, model: str, chunks: int = CHUNKS) -> Step:
    """A step that reads an answer to its end."""

    async def step(_: int) -> None:
        async with kernel.stream("hi", model=f"ours/{model}") as stream:
            texts = [chunk.text async for chunk in stream]
        assert sum(map(bool, texts)) == chunks

    return step


async def _back_to_back(kernel: Kernel, url: str, profiles: dict[str, str]) -> list[Row]:
    ours = streamed(kernel, "fast")
    async with streams(url, "fast") as peers:
        samples = {
            "ours": costed(ours, 10, items=CHUNKS),
            "transport": costed(peers["httpx-aiohttp"], 10, items=CHUNKS),
            "sdk": costed(peers["openai"], 3, items=CHUNKS),
        }
        taken = await interleave(samples, ROUNDS)
    mine, transport, sdk = ([cost.cpu for cost in taken[name]] for name in samples)
    what = "CPU of a streamed chunk, back to back"
    row = compare(what, mine, ("openai SDK", sdk), TENTH)
    if row.missed:
        profiles["an answer streamed back to back"] = await profile(ours, 20)
    return [row, compare(what, mine, (TRANSPORT, transport))]


async def _one_by_one(kernel: Kernel, url: str, profiles: dict[str, str]) -> Row:
    ours = streamed(kernel, EVERY_10_MS, PACED)
    async with streams(url, EVERY_10_MS, PACED) as peers:
        samples = {
            name: costed(step, ANSWERS, at_once=ANSWERS, items=PACED)
            for name, step in (("ours", ours), ("transport", peers["httpx-aiohttp"]))
        }
        taken = await interleave(samples, PACED_ROUNDS)
    mine, transport = ([cost.cpu for cost in taken[name]] for name in samples)
    what = "CPU of a streamed chunk, one every 10 ms"
    row = compare(what, mine, (TRANSPORT, transport), HALF_MORE)
    if row.missed:
        profiles[f"{ANSWERS} answers with a chunk every 10 ms"] = await profile(_together(ours), 2)
    return row


def _together(step: Step) -> Step:
    async def several(number: int) -> None:
        await asyncio.gather(*(step(number) for _ in range(ANSWERS)))

    return several
