"""What ten thousand chats leave behind, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.harness import Goal, Row, Subject
from tests.benchmarks.soak import GROUP, Footprint, Soak

FIRST = (2_000 // GROUP + 1) * GROUP
LAST = (10_000 // GROUP + 1) * GROUP

SAME = Goal(1.0, "≤ 1")
FLAT = Goal(1.02, "≤ 1.02")
ABOUT = f"""\
{LAST:,} chats in a process of their own, {GROUP} at a time, each over a socket to a scripted peer.
Of each {GROUP}, one is cancelled before its first chunk, one by its reader in the middle, one while
it waits for its session; half of the others are kept in sessions, few and short enough to be full
before the first look. "Peer" is what the process held after the first {FIRST:,}. Objects are those
that the garbage collector follows, blocks all that Python's allocator has handed out."""


async def measure() -> Subject:
    """Footprints of a process after the first and after all chats."""
    await asyncio.sleep(0)
    script = [sys.executable, "-c", "from tests.benchmarks.memory import main; main()"]
    done = subprocess.run(  # noqa: ASYNC221 - nothing else runs meanwhile
        script, cwd=Path(__file__).parents[2], check=True, stdout=subprocess.PIPE
    )
    first, last = (Footprint(**json.loads(line)) for line in done.stdout.splitlines())
    what = f"after {LAST:,} chats, {LAST // 10:,} of them cancelled"
    rows = [
        _row(f"tasks {what}", last.tasks, first.tasks, SAME),
        _row(f"open descriptors {what}", last.descriptors, first.descriptors, SAME),
        _row(f"objects {what}", last.objects, first.objects, FLAT),
        _row(f"blocks {what}", last.blocks, first.blocks, FLAT),
    ]
    if first.resident:
        rows.append(_row(f"KiB of memory {what}", last.resident >> 10, first.resident >> 10, FLAT))
    return Subject("Memory", ABOUT, rows)


def main() -> None:
    """Run the chats and print the two footprints as lines of JSON."""
    asyncio.run(_run())


async def _run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with Soak(Path(folder)) as soak:
            await soak.run(FIRST)
            first = await soak.footprint()
            await soak.run(LAST - FIRST)
            last = await soak.footprint()
    for footprint in (first, last):
        print(json.dumps(asdict(footprint)))


def _row(what: str, last: int, first: int, goal: Goal) -> Row:
    return Row(what, f"{last:,}", f"{first:,} after {FIRST:,}", last / first, goal)
