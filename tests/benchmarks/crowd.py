"""Five hundred streams on one event loop: how late chunks are, what a stream holds, and its end."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks.crowd_run import FEW, LEAVES, PACES, STREAMS, Late
from tests.benchmarks.harness import Goal, Row, Subject, duration
from tests.benchmarks.upstream import HELD

ALL_TOGETHER = "1 chunk/s each, all at the same moment"
LATE = 0.05
HEAVY = 40_000
SLOW_CLOSE = 0.1
LIMIT = Goal(1.0, "≤ 1")
ABOUT = f"""\
{STREAMS} answers streamed at once from `kernel.stream` through plugin `openai`, with
`max_connections` raised to as many, in a process of their own; the rates are in the rows. A chunk's
text is the moment the upstream writes it, and it is late by the time from then until its reader has
it, by the clock that both processes share. Chunks begin when all streams are open, and come at
moments spread evenly, or where it says so all at the same moment: then the CPU does not last, the
last waits for the others, and no goal is set. aiohttp alone reads the same streams, to tell what
the machine does. Memory is that of the process with {STREAMS} more streams than {FEW}, which all
have had {HELD} chunks and wait, less that with {FEW}. Leaving is measured at the upstream: {LEAVES}
streams, one after another, from leaving the `async with` block in the middle of the answer until
the upstream sees its connection close. The limits are the goals."""


async def measure() -> Subject:
    """Run it, make rows of what it prints, and look closer where a goal is missed."""
    found = await _child("measure")
    late = {pace: [Late(*found[by][pace]) for by in ("kernel", "aiohttp")] for pace in PACES}
    rows, profiles = [], {}
    for pace, (ours, alone) in late.items():
        what = f"{STREAMS} streams, {pace}"
        goal = None if pace == ALL_TOGETHER else LIMIT
        shown = f"{duration(ours.worst)} late at worst"
        worst = Row(what, shown, f"{duration(LATE)}, the limit", ours.worst / LATE, goal)
        rows.append(worst)
        ratio = ours.median / alone.median
        rows.append(Row(what, _told(ours), f"{_told(alone)}, aiohttp alone", ratio))
        if worst.missed:
            profiles[what] = await _child("profile", pace)
    memory = Row(
        f"memory of a stream, of {STREAMS}",
        f"{found['held'] / 1000:.1f} kB",
        f"{HEAVY / 1000:.0f} kB, the limit",
        found["held"] / HEAVY,
        LIMIT,
    )
    if memory.missed:
        profiles[memory.what] = await _child("trace")
    closed = found["closed"]
    leaving = Row(
        "leaving a stream early closes the upstream's socket",
        f"after {duration(statistics.median(closed))}, at worst {duration(max(closed))}",
        f"{duration(SLOW_CLOSE)}, the limit",
        max(closed) / SLOW_CLOSE,
        LIMIT,
    )
    if leaving.missed:
        profiles[leaving.what] = await _child("leave")
    return Subject(f"{STREAMS} streams", ABOUT, [*rows, memory, leaving], profiles)


async def _child(*arguments: str) -> Any:
    await asyncio.sleep(0)
    script = "from tests.benchmarks.crowd_run import main; main()"
    done = subprocess.run(  # noqa: ASYNC221 - nothing else runs meanwhile
        [sys.executable, "-c", script, *arguments],
        cwd=Path(__file__).parents[2],
        check=True,
        stdout=subprocess.PIPE,
    )
    return json.loads(done.stdout)


def _told(late: Late) -> str:
    return f"{duration(late.median)} late, 99 % ≤ {duration(late.most)}, {late.cpu:.0%} of a core"
