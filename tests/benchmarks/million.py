"""The same search among ten times as many vectors."""

from __future__ import annotations

import tempfile
import time
from typing import TYPE_CHECKING, Any

from tests.benchmarks.harness import Row, Subject, compare, duration
from tests.benchmarks.vector_data import NEAREST, QUERIES, clustered
from tests.benchmarks.vector_sizes import bytes_of, memory_of
from tests.benchmarks.vector_ways import exact, fill, opened, recall_of, searching

if TYPE_CHECKING:
    from tests.benchmarks.vector_ways import Search

COUNT = 1_000_000

ABOUT = f"""\
As above, with {COUNT:,} vectors in clusters, beside exact NumPy alone: {QUERIES} searches of each,
ours once before they are timed, which reads the files."""


async def measure() -> Subject:
    """Adding them, searching, and what they take."""
    subject = Subject("A million vectors", ABOUT, [])
    what = f"{COUNT:,} vectors"
    with tempfile.TemporaryDirectory(prefix="dovetail-bench-") as temporary:
        folder = f"{temporary}/ours"
        vectors, queries = clustered(COUNT)
        began = time.perf_counter()
        await fill(folder, vectors)
        seconds = time.perf_counter() - began
        theirs, right = await _search(exact(vectors), queries)
        async with opened(folder) as store:
            search = searching(store)
            await _search(search, queries)
            ours, found = await _search(search, queries)
        disk = bytes_of(folder) / COUNT
        memory = memory_of("ours", folder, queries) / COUNT
    recall = recall_of(found, right)
    subject.rows += [
        compare(f"search of {what}, p50", ours, ("exact NumPy", theirs)),
        Row(f"recall@{NEAREST} of {what}", f"{recall:.3f}", "1.000 exact NumPy", recall),
    ]
    subject.figures["A million vectors in the store"] = (
        f"They were added, indexed and saved in {duration(seconds)}, {COUNT / seconds:,.0f} a "
        f"second. Each takes {disk:,.0f} bytes of the disk, with its text and metadata, and "
        f"{memory:,.0f} of memory."
    )
    return subject


async def _search(search: Search, queries: Any) -> tuple[list[float], list[list[str]]]:
    """The seconds of each search, and what it found."""
    taken, found = [], []
    for query in queries:
        began = time.perf_counter()
        found.append(await search(query))
        taken.append(time.perf_counter() - began)
    return taken, found
