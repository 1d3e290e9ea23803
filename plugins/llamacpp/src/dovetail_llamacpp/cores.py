"""How many threads compute unless the operator says."""

from __future__ import annotations

import os
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")


def spare_threads(cpus: Path = _CPUS) -> int:
    """One less than the real cores this process may use, at least one.

    llama.cpp's threads wait for each other at every step, so one that has to share its core with
    another program slows down all of them: two such programs on two cores were seen to crawl at
    0.4 tokens/s, where one thread each keeps 175 of the 200 that two have to themselves.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len({_siblings(cpus, cpu) for cpu in os.sched_getaffinity(0)})
    else:
        cores = os.cpu_count() or 1
    return max(1, cores - 1)


def _siblings(cpus: Path, cpu: int) -> str:
    """What the logical processors of one real core have in common."""
    try:
        return (cpus / f"cpu{cpu}/topology/thread_siblings_list").read_text(encoding="ascii")
    except OSError:
        return str(cpu)
