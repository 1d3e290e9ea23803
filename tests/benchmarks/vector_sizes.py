"""What a filled store takes of the disk, and of a process that searches it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.vector_ways import opened, searching, searching_theirs

ROOT = Path(__file__).resolve().parents[2]


def bytes_of(folder: str) -> int:
    """What the files in it take of the disk."""
    return sum(f.stat().st_blocks * 512 for f in Path(folder).rglob("*") if f.is_file())


def memory_of(name: str, folder: str, queries: Any) -> int:
    """Bytes that a process holds more once it has the store open and has searched."""
    file = f"{folder}.queries.npy"
    np.save(file, queries)
    code = f"import {__name__} as sizes; sizes.child({name!r}, {folder!r}, {file!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    found: int = json.loads(done.stdout.splitlines()[-1])
    return found


def child(name: str, folder: str, file: str) -> None:
    """What that process does."""
    queries = np.load(file)

    print(asyncio.run(_ours(folder, queries) if name == "ours" else _theirs(folder, queries)))


async def _ours(folder: str, queries: Any) -> int:
    before = _resident()
    async with opened(folder) as store:
        search = searching(store)
        for query in queries:
            await search(query)
        return _resident() - before


async def _theirs(folder: str, queries: Any) -> int:
    before = _resident()
    search = searching_theirs(folder)
    for query in queries:
        await search(query)
    return _resident() - before


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
