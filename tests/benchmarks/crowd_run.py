"""The process that has the five hundred streams: the kernel, its plugins, and nothing else."""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import sys
import time
import tracemalloc
import urllib.request
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple

import aiohttp

from dovetail import Kernel
from tests.benchmarks.harness import PROFILE_LINES, place_of, profile
from tests.benchmarks.soak import resident
from tests.benchmarks.upstream import HELD, upstream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Read = Callable[[str], Awaitable[list[float]]]
    """Reads an answer; gives by how much each chunk was late."""

STREAMS = 500
FEW = 100
LEAVES = 50
LEAD = 1
"""Seconds from an answer's head to its first timed chunk: until then all have begun."""
PACES = {
    "1 chunk/s each": f"every-1000-5-{LEAD * 1000}",
    "10 chunks/s each": f"every-100-45-{LEAD * 1000}",
    "1 chunk/s each, all at the same moment": f"beat-1000-5-{LEAD * 1000}",
}


class Late(NamedTuple):
    """How late chunks were, in seconds, and how busy the process was meanwhile."""

    median: float
    most: float
    """99 % are no later."""
    worst: float
    cpu: float
    """Of one core, 0 to 1."""


def main() -> None:
    """Do what the arguments say, and print it as JSON."""
    print(json.dumps(asyncio.run(_run(*sys.argv[1:]))))


async def _run(order: str, pace: str = "") -> object:
    async with upstream() as url:
        http = {"max_connections": STREAMS + FEW}
        provider = {"use": "openai", "base_url": url, "http": http}
        config: dict[str, object] = {"providers": {"ours": provider}}
        async with Kernel.open(config, env={}) as kernel:
            read = _by_kernel(kernel)
            if order == "profile":
                return await profile(lambda _: _crowd(read, PACES[pace]), 1)
            if order == "trace":
                return await _traced(kernel)
            if order == "leave":
                return await profile(lambda number: _leave(kernel, str(number)), 100)
            held, closed = await _held(kernel), await _closed(kernel, url)
            late = {pace: await _crowd(read, model) for pace, model in PACES.items()}
        connector = aiohttp.TCPConnector(limit=STREAMS)
        async with aiohttp.ClientSession(connector=connector) as session:
            read = _by_aiohttp(session, f"{url}/chat/completions")
            alone = {pace: await _crowd(read, model) for pace, model in PACES.items()}
    return {"held": held, "closed": closed, "kernel": late, "aiohttp": alone}


def _by_kernel(kernel: Kernel) -> Read:
    async def read(model: str) -> list[float]:
        async with kernel.stream("hi", model=f"ours/{model}") as stream:
            return [time.monotonic() - float(chunk.text) async for chunk in stream if chunk.text]

    return read


def _by_aiohttp(session: aiohttp.ClientSession, address: str) -> Read:
    async def read(model: str) -> list[float]:
        body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        late = []
        async with session.post(address, json=body) as reply:
            async for line in reply.content:
                if line.startswith(b"data: {"):
                    delta = json.loads(line[6:])["choices"][0]["delta"]
                    if text := delta.get("content"):
                        late.append(time.monotonic() - float(text))
        return late

    return read


async def _crowd(read: Read, model: str) -> Late:
    """All streams at once. CPU is taken of two seconds in which all of them have chunks."""

    async def busy() -> float:
        await asyncio.sleep(LEAD + 2)
        cpu, began = time.process_time(), time.monotonic()
        await asyncio.sleep(2)
        return (time.process_time() - cpu) / (time.monotonic() - began)

    gc.collect()
    watching = asyncio.create_task(busy())
    answers = await asyncio.gather(*(read(model) for _ in range(STREAMS)))
    late = sorted(second for answer in answers for second in answer)
    assert len(late) == STREAMS * int(model.split("-")[2])
    most = late[len(late) * 99 // 100]
    return Late(statistics.median(late), most, late[-1], await watching)


async def _held(kernel: Kernel) -> float:
    """Bytes of real memory that a waiting stream adds.

    The first few use up what start-up has left free.
    """
    async with AsyncExitStack() as streams:
        for _ in range(FEW):
            await _hold(streams, kernel)
        gc.collect()
        before = resident()
        for _ in range(STREAMS):
            await _hold(streams, kernel)
        gc.collect()
        return (resident() - before) / STREAMS


async def _traced(kernel: Kernel) -> str:
    """Where the memory of waiting streams was asked for, as a table."""
    async with AsyncExitStack() as streams:
        for _ in range(FEW):
            await _hold(streams, kernel)
        tracemalloc.start()
        for _ in range(STREAMS):
            await _hold(streams, kernel)
        found = tracemalloc.take_snapshot().statistics("lineno")
        tracemalloc.stop()
    lines = ["| bytes a stream | pieces | where |", "|---:|---:|---|"]
    for one in found[:PROFILE_LINES]:
        frame = one.traceback[0]
        where = f"`{place_of(frame.filename)}:{frame.lineno}`"
        lines.append(f"| {one.size / STREAMS:.0f} | {one.count / STREAMS:.1f} | {where} |")
    return "\n".join(lines)


async def _hold(streams: AsyncExitStack, kernel: Kernel) -> None:
    stream = await streams.enter_async_context(kernel.stream("stay", model="ours/hold"))
    for _ in range(HELD):
        assert (await anext(stream)).text


async def _leave(kernel: Kernel, name: str) -> float:
    """Leave a stream after its first chunk; gives when."""
    async with kernel.stream(name, model="ours/hold") as stream:
        await anext(stream)
        return time.monotonic()


async def _closed(kernel: Kernel, url: str) -> list[float]:
    """Seconds from leaving until the upstream saw it, of some streams."""
    left = {f"left-{number}": await _leave(kernel, f"left-{number}") for number in range(LEAVES)}
    async with asyncio.timeout(10):
        seen = await asyncio.to_thread(_seen, url)
        while not left.keys() <= seen.keys():
            await asyncio.sleep(0.05)
            seen = await asyncio.to_thread(_seen, url)
    return [seen[name] - moment for name, moment in left.items()]


def _seen(url: str) -> dict[str, float]:
    """When the upstream saw connections close, by what was said on them."""
    with urllib.request.urlopen(f"{url}/closed") as reply:
        closed: dict[str, float] = json.load(reply)
    return closed
