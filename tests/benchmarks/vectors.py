"""What the embedded vector store does with 100,000 vectors, beside exact NumPy and chromadb."""

from __future__ import annotations

import statistics
import tempfile
import time
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from tests.benchmarks.harness import Goal, Row, Subject, compare, interleave, profile
from tests.benchmarks.vector_data import (
    CARRY_MOST,
    CLUSTER,
    NEAREST,
    QUERIES,
    SIZE,
    clustered,
    smooth,
)
from tests.benchmarks.vector_sizes import bytes_of, memory_of
from tests.benchmarks.vector_ways import (
    AT_ONCE,
    exact,
    fill,
    fill_theirs,
    opened,
    recall_of,
    searching,
    searching_theirs,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tests.benchmarks.vector_data import Data
    from tests.benchmarks.vector_ways import Search

COUNT = 100_000
ROUNDS = 7
FEW_ROUNDS = 3

QUARTER = Goal(1 / 4, "≤ 1/4")
EQUAL = Goal(1, "≤ 1")
RECALL = Goal(0.95, "≥ 0.95", least=True)
ABOUT = f"""\
{COUNT:,} unit vectors of {SIZE} numbers, each with a text of twelve words and two fields of
metadata, in clusters of {CLUSTER}; and the same without clusters, {CARRY_MOST} of whose numbers
carry most. Ours is the service `vector_store` with the embedded backend as it is set up by itself
(`synchronous = "full"`). chromadb is a `PersistentClient` with its own settings but for the cosine
(HNSW, `max_neighbors` 16, `ef_construction` 100, `ef_search` 100). Each is given {AT_ONCE:,} at
once, and all of them once; adding ends when they are kept, found and saved. A search asks for the
nearest {NEAREST} and is given their texts and metadata: {ROUNDS} rounds of {QUERIES} searches of
each in turn ({FEW_ROUNDS} with a filter); p50 is the median of the rounds' medians, p99 that of all
searches. "Exact NumPy" is the product of the whole matrix, in memory, with the query, and the
places of the best: neither text nor metadata. Recall is which part of those is found. Memory is
what a fresh process holds more once it has opened the store and searched {QUERIES} times, with the
pages of mapped files, which the system may take back."""


async def measure() -> Subject:
    """Adding, searching, and what it takes of the disk and of memory."""
    subject = Subject("Vectors", ABOUT, [])
    with tempfile.TemporaryDirectory(prefix="dovetail-bench-") as folder:
        data, what = clustered(COUNT), f"{COUNT:,} vectors"
        await _adding(subject, what, data, folder, EQUAL)
        await _searching(subject, what, data, folder, {"exact NumPy": QUARTER, "chromadb": EQUAL})
        await _filtering(subject, what, data, folder)
        _sizes(subject, what, data, folder)
    with tempfile.TemporaryDirectory(prefix="dovetail-bench-") as folder:
        data, what = smooth(COUNT), f"{COUNT:,} vectors without clusters"
        await _adding(subject, what, data, folder)
        await _searching(subject, what, data, folder, {})
    return subject


async def _adding(
    subject: Subject, what: str, data: Data, folder: str, goal: Goal | None = None
) -> None:
    began = time.perf_counter()
    await fill(f"{folder}/ours", data.vectors)
    ours = time.perf_counter() - began
    began = time.perf_counter()
    fill_theirs(f"{folder}/chromadb", data.vectors)
    theirs = time.perf_counter() - began
    row = compare(f"adding {what}", [ours], ("chromadb", [theirs]), goal)
    subject.rows.append(row)
    if row.missed:
        some = data.vectors[: COUNT // 20]
        subject.profiles[row.what] = await profile(lambda n: fill(f"{folder}/{n}", some), 1)


async def _searching(
    subject: Subject, what: str, data: Data, folder: str, goals: Mapping[str, Goal]
) -> None:
    async with opened(f"{folder}/ours") as store:
        ways = {
            "ours": searching(store),
            "exact NumPy": exact(data.vectors),
            "chromadb": searching_theirs(f"{folder}/chromadb"),
        }
        taken = await _in_turn(ways, data.queries, ROUNDS)
        for name in ("exact NumPy", "chromadb"):
            p50, p99 = _rows(f"search of {what}", taken, name, goals.get(name))
            subject.rows += [p50, p99]
            if p50.missed:
                subject.profiles[p50.what] = await _profile(ways["ours"], data.queries)
        subject.rows.append(await _recall(what, ways, data.queries))


async def _filtering(subject: Subject, what: str, data: Data, folder: str) -> None:
    async with opened(f"{folder}/ours") as store:
        ours, theirs = searching(store), searching_theirs(f"{folder}/chromadb")
        for told, where in (("a third", {"language": "en"}), ("a hundredth", {"page": 7})):
            ways = {"ours": partial(ours, where=where), "chromadb": partial(theirs, where=where)}
            taken = await _in_turn(ways, data.queries, FEW_ROUNDS)
            p50, _ = _rows(f"search of {what}, a filter passes {told}", taken, "chromadb")
            subject.rows.append(p50)


async def _in_turn(
    ways: Mapping[str, Search], queries: Any, rounds: int
) -> dict[str, list[list[float]]]:
    """Seconds of each search, of each round, of each way."""

    def sample(search: Search) -> Callable[[], Awaitable[list[float]]]:
        async def run() -> list[float]:
            taken = []
            for query in queries:
                began = time.perf_counter()
                await search(query)
                taken.append(time.perf_counter() - began)
            return taken

        return run

    return await interleave({name: sample(way) for name, way in ways.items()}, rounds)


def _rows(
    what: str, taken: dict[str, list[list[float]]], name: str, goal: Goal | None = None
) -> tuple[Row, Row]:
    """The median of each round, and the 99th of a hundred of all rounds."""
    mine, other = taken["ours"], taken[name]
    p50 = [statistics.median(some) for some in mine], [statistics.median(some) for some in other]
    p99 = _p99(mine), _p99(other)
    return (
        compare(f"{what}, p50", p50[0], (name, p50[1]), goal),
        compare(f"{what}, p99", [p99[0]], (name, [p99[1]])),
    )


def _p99(taken: list[list[float]]) -> float:
    return statistics.quantiles(chain.from_iterable(taken), n=100)[98]


async def _recall(what: str, ways: Mapping[str, Search], queries: Any) -> Row:
    found = {name: [await way(query) for query in queries] for name, way in ways.items()}
    recall = {name: recall_of(found[name], found["exact NumPy"]) for name in ("ours", "chromadb")}
    mine, other = recall["ours"], recall["chromadb"]
    return Row(f"recall@{NEAREST} of {what}", f"{mine:.3f}", f"{other:.3f} chromadb", mine, RECALL)


async def _profile(search: Search, queries: Any) -> str:
    return await profile(lambda number: search(queries[number % len(queries)]), len(queries))


def _sizes(subject: Subject, what: str, data: Data, folder: str) -> None:
    names = ("ours", "chromadb")
    disk = [bytes_of(f"{folder}/{name}") / COUNT for name in names]
    memory = [memory_of(name, f"{folder}/{name}", data.queries) / COUNT for name in names]
    for told, (ours, theirs) in (("disk", disk), ("memory", memory)):
        what_for, peer = f"{told} for each of {what}", f"{theirs:,.0f} B chromadb"
        subject.rows.append(Row(what_for, f"{ours:,.0f} B", peer, ours / theirs))
