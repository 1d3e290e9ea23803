"""What the embedded vector store does with 100,000 vectors, beside exact NumPy and chromadb."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chromadb
import numpy as np

from dovetail import Kernel
from dovetail.testing import FakeModel, fake_plugin
from dovetail_vectorstore import Item, Scope, VectorStoreSettings, open_store
from tests.benchmarks.harness import Goal, Row, Subject, compare, duration, interleave, timed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from dovetail_vectorstore import VectorStore

COUNT = 100_000
MILLION = 1_000_000
SIZE = 256
CLUSTER = 100
"""How many vectors a cluster has."""
SPREAD = 0.6
ROUNDS = 7
QUERIES = 100
NEAREST = 10
AT_ONCE = 5_000
TURNS = 100
ASK_MILLION = "DOVETAIL_BENCH_MILLION"

QUARTER = Goal(1 / 4, "≤ 1/4")
EQUAL = Goal(1, "≤ 1")
FIFTH_MORE = Goal(1.2, "≤ 1.2")
RECALL = Goal(0.95, "≥ 0.95", least=True)
ABOUT = f"""\
{COUNT:,} unit vectors of {SIZE} numbers in clusters of {CLUSTER}, each with a text of twelve words
and two fields of metadata. A search asks for the nearest {NEAREST} and is given their texts and
metadata; what is shown is the median of {QUERIES} searches, over {ROUNDS} rounds. "Exact NumPy" is
the product of the whole matrix, in memory, with the query, and the places of the best: neither text
nor metadata. chromadb is embedded and persistent, with its own settings but for the cosine. Adding
is what it takes until all is kept, found and saved: ours with `synchronous = "full"`. Memory is
what a fresh process holds more after it has opened the store and searched {QUERIES} times, mapped
files included, which the system may take back. A turn is a fake model's, with `remember = "user"`
and embedded storage, beside one without the provider; its queue is worked off beside the turns."""
_WORDS = [
    "joint",
    "wood",
    "dovetail",
    "mortise",
    "tenon",
    "saw",
    "chisel",
    "glue",
    "plank",
    "oak",
    "pine",
    "grain",
    "bench",
    "clamp",
]


def vectors(count: int) -> tuple[Any, Any]:
    """Vectors in clusters, and as many queries from the same clusters."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(count // CLUSTER, SIZE)).astype(np.float32)

    def drawn(number: int) -> Any:
        made = centres[random.integers(0, len(centres), number)]
        made = made + SPREAD * random.standard_normal(made.shape, np.float32)
        return made / np.linalg.norm(made, axis=1, keepdims=True)

    return drawn(count), drawn(QUERIES)


def text_of(number: int) -> str:
    """A text for each vector."""
    words = (_WORDS[(number * step + step) % len(_WORDS)] for step in range(1, 12))
    return " ".join((*words, f"number{number}"))


def metadata_of(number: int) -> dict[str, Any]:
    """What is known of each."""
    return {"language": ("en", "de", "fr")[number % 3], "page": number % 100}


async def measure() -> Subject:
    """Adding, searching, what it takes of the disk and of memory, and a turn with it."""
    subject = Subject("Vectors", ABOUT, [])
    with tempfile.TemporaryDirectory(prefix="dovetail-bench-") as folder:
        path = Path(folder)
        made, queries = vectors(COUNT)
        await _adding(subject, path, made)
        await _searching(subject, path, made, queries)
        _sizes(subject, path)
        await _turns(subject, path)
        shutil.rmtree(path / "theirs")
        if os.environ.get(ASK_MILLION):
            await _million(subject, path)
        else:
            subject.figures["A million vectors"] = f"Not measured: set `{ASK_MILLION}=1`."
    return subject


async def _adding(subject: Subject, path: Path, made: Any) -> None:
    began = time.perf_counter()
    await _fill(path / "ours", made)
    ours = time.perf_counter() - began
    collection = _collection(path)
    began = time.perf_counter()
    for start in range(0, len(made), AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, len(made)))
        collection.add(
            ids=[str(number) for number in numbers],
            embeddings=made[numbers.start : numbers.stop],
            documents=[text_of(number) for number in numbers],
            metadatas=[metadata_of(number) for number in numbers],
        )
    theirs = time.perf_counter() - began
    subject.rows.append(compare(f"adding {COUNT:,}", [ours], ("chromadb", [theirs]), EQUAL))


async def _fill(path: Path, made: Any) -> None:
    async with open_store(VectorStoreSettings(path=str(path))) as store:
        for start in range(0, len(made), AT_ONCE):
            items = [
                Item(text_of(n), f"{n % 500}.md", metadata_of(n), str(n), made[n])
                for n in range(start, min(start + AT_ONCE, len(made)))
            ]
            await store.add(items, scope=Scope.shared())


async def _searching(subject: Subject, path: Path, made: Any, queries: Any) -> None:
    collection = _collection(path)
    async with open_store(VectorStoreSettings(path=str(path / "ours"))) as store:

        async def exact(query: Any) -> list[str]:
            scores = made @ query
            best = np.argpartition(-scores, NEAREST)[:NEAREST]
            return [str(number) for number in best[np.argsort(-scores[best])]]

        async def theirs(query: Any, where: Any = None) -> list[str]:
            found = collection.query(query_embeddings=[query], n_results=NEAREST, where=where)
            ids: list[str] = found["ids"][0]
            return ids

        async def ours(query: Any, where: Any = None) -> list[str]:
            found = await store.search(query, scope=Scope.shared(), filters=where)
            return [hit.id for hit in found]

        ways = {"ours": ours, "exact": exact, "theirs": theirs}
        taken = await interleave({k: _sample(way, queries) for k, way in ways.items()}, ROUNDS)
        what = f"search of {COUNT:,}, p50"
        subject.rows += [
            compare(what, taken["ours"], ("exact NumPy", taken["exact"]), QUARTER),
            compare(what, taken["ours"], ("chromadb", taken["theirs"]), EQUAL),
        ]
        right = [await exact(query) for query in queries]
        recall = {k: await _recall(way, queries, right) for k, way in ways.items()}
        subject.rows.append(
            Row(
                f"recall@{NEAREST} of {COUNT:,}",
                f"{recall['ours']:.3f}",
                f"{recall['theirs']:.3f} chromadb",
                recall["ours"],
                RECALL,
            )
        )
        for name, where in (("a third", {"language": "en"}), ("a hundredth", {"page": 7})):
            filtered: dict[str, Any] = {
                "ours": _sample(partial(ours, where=where), queries),
                "theirs": _sample(partial(theirs, where=where), queries),
            }
            taken = await interleave(filtered, 3)
            what = f"search with a filter that {name} pass, p50"
            subject.rows.append(compare(what, taken["ours"], ("chromadb", taken["theirs"])))


def _sample(
    search: Callable[[Any], Awaitable[object]], queries: Any
) -> Callable[[], Awaitable[float]]:
    async def sample() -> float:
        taken = []
        for query in queries:
            began = time.perf_counter()
            await search(query)
            taken.append(time.perf_counter() - began)
        return statistics.median(taken)

    return sample


async def _recall(
    search: Callable[[Any], Awaitable[list[str]]], queries: Any, right: list[list[str]]
) -> float:
    found = [await search(query) for query in queries]
    same = [len(set(a) & set(b)) for a, b in zip(found, right, strict=True)]
    return sum(same) / len(same) / NEAREST


def _sizes(subject: Subject, path: Path) -> None:
    disk = {name: _bytes(path / name) / COUNT for name in ("ours", "theirs")}
    memory = {name: _memory(name, path) / COUNT for name in ("ours", "theirs")}
    for what, taken in (("disk", disk), ("memory", memory)):
        subject.rows.append(
            Row(
                f"{what} for a vector, its text and metadata",
                f"{taken['ours']:,.0f} B",
                f"{taken['theirs']:,.0f} B chromadb",
                taken["ours"] / taken["theirs"],
            )
        )


def _bytes(path: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in path.rglob("*") if file.is_file())


def _memory(name: str, path: Path) -> int:
    """Bytes that a process holds more once it has the store open and has searched."""
    code = f"import tests.benchmarks.vectors as v; v.child({name!r}, {str(path)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        cwd=Path(__file__).parents[2],
        text=True,
    )
    found: int = json.loads(done.stdout.splitlines()[-1])
    return found


def child(name: str, path: str) -> None:
    """What `_memory` runs."""
    _, queries = vectors(10_000)

    async def ours() -> int:
        before = _resident()
        async with open_store(VectorStoreSettings(path=f"{path}/ours")) as store:
            for query in queries:
                await store.search(query, scope=Scope.shared())
            return _resident() - before

    def theirs() -> int:
        before = _resident()
        collection = _collection(Path(path))
        for query in queries:
            collection.query(query_embeddings=[query], n_results=NEAREST)
        return _resident() - before

    print(asyncio.run(ours()) if name == "ours" else theirs())


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _collection(path: Path) -> Any:
    settings = chromadb.Settings(anonymized_telemetry=False)
    client = chromadb.PersistentClient(str(path / "theirs"), settings=settings)
    return client.get_or_create_collection("bench", metadata={"hnsw:space": "cosine"})


async def _turns(subject: Subject, path: Path) -> None:
    table = {"use": "vectorstore", "remember": "user"}
    async with _kernel(path / "with", {"notes": table}) as (kept, kept_store):
        async with _kernel(path / "without", {}) as (plain, _):
            samples = {
                "with": timed(lambda n: kept.chat(f"Question {n}?", user="ada"), TURNS),
                "without": timed(lambda n: plain.chat(f"Question {n}?", user="ada"), TURNS),
            }
            taken = await interleave(samples, ROUNDS)
        row = compare("turn that is remembered", taken["with"], ("without", taken["without"]))
        waiting = await kept_store.stats()
        subject.rows.append(Row(row.what, row.ours, row.peer, row.ratio, FIFTH_MORE))
        if waiting is None or not waiting.collection.items:
            raise RuntimeError("nothing was remembered")


@asynccontextmanager
async def _kernel(
    path: Path, providers: dict[str, object]
) -> AsyncIterator[tuple[Kernel, VectorStore]]:
    config = {
        "chat": {"model": "fake", "embedding_model": "fake"},
        "providers": {"fake": {}, **providers},
        "plugins": {"vectorstore": {"path": str(path)}},
    }
    async with Kernel.open(config, env={}).register("fake", fake_plugin(FakeModel())) as kernel:
        yield kernel, kernel.services.get("vector_store")


async def _million(subject: Subject, path: Path) -> None:
    made, queries = vectors(MILLION)
    began = time.perf_counter()
    await _fill(path / "million", made)
    seconds = time.perf_counter() - began
    right = [set(map(str, np.argpartition(-(made @ q), NEAREST)[:NEAREST])) for q in queries]
    began = time.perf_counter()
    for query in queries:
        np.argpartition(-(made @ query), NEAREST)
    exact = (time.perf_counter() - began) / len(queries)
    async with open_store(VectorStoreSettings(path=str(path / "million"))) as store:
        taken: list[float] = []
        same = 0
        for _ in range(2):  # the first reads the file
            taken, same = [], 0
            for query, known in zip(queries, right, strict=True):
                began = time.perf_counter()
                found = await store.search(query, scope=Scope.shared())
                taken.append(time.perf_counter() - began)
                same += len({hit.id for hit in found} & known)
    ours = statistics.median(taken)
    subject.rows.append(Row(f"adding {MILLION:,}", duration(seconds), "", seconds))
    what = f"search of {MILLION:,}, p50"
    subject.rows.append(Row(what, duration(ours), f"{duration(exact)} exact NumPy", ours / exact))
    recall = same / len(queries) / NEAREST
    subject.rows.append(Row(f"recall@{NEAREST} of {MILLION:,}", f"{recall:.3f}", "1 exact", recall))
