"""Taking in this repository's own pages, with and without the embedding."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dovetail import EmbeddingProvider, EmbeddingResponse, Kernel, hookimpl
from dovetail_vectorstore import Scope
from dovetail_vectorstore.chunking import chunks_of
from dovetail_vectorstore.readers import read_document
from tests.benchmarks.harness import Row, Subject, interleave

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail import EmbeddingRequest, ExecutionContext
    from tests.benchmarks.harness import Sample

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    "docs",
    "README.md",
    *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("plugins/*/*.md")),
]
ROUNDS = 7
VECTOR = tuple(1.0 for _ in range(256))

ABOUT = f"""\
`ingestion.add` of `docs/` and every `README.md` into a new store in a folder, the median of
{ROUNDS} rounds, in chunks a second: with the vectors of `wordllama`, with vectors that cost
nothing, and beside them the reading and cutting alone, without a store."""


class Free(EmbeddingProvider):
    """Vectors that cost nothing."""

    async def embed(
        self, request: EmbeddingRequest, context: ExecutionContext
    ) -> EmbeddingResponse:
        """The same for every text."""
        return EmbeddingResponse(embeddings=(VECTOR,) * len(request.input), model="free")


@hookimpl
def providers() -> list[type[Free]]:
    """The one class of this plugin."""
    return [Free]


async def measure() -> Subject:
    """All three in turn."""
    samples = {
        "wordllama": taking_in("wordllama"),
        "free": taking_in("free"),
        "cutting": cutting,
    }
    taken = await interleave(samples, ROUNDS)
    rows = [
        _row(
            "taking in with `wordllama`", taken["wordllama"], "with vectors for free", taken["free"]
        ),
        _row("taking in with vectors for free", taken["free"], "reading alone", taken["cutting"]),
    ]
    return Subject("Ingestion", ABOUT, rows)


def taking_in(model: str) -> Sample:
    """A sample of chunks a second."""

    async def sample() -> float:
        with tempfile.TemporaryDirectory() as folder:
            config = {
                "chat": {"embedding_model": model},
                "providers": {model: {}},
                "plugins": {"vectorstore": {"path": f"{folder}/store"}},
            }
            async with Kernel.open(config, env={}).register(
                "free", sys.modules[__name__]
            ) as kernel:
                await kernel.embed("warm")
                ingestion = kernel.services.get("ingestion")
                began = time.perf_counter()
                result = await ingestion.add(PAGES, scope=Scope.shared(), base=ROOT)
                chunks: int = result.chunks
                return chunks / (time.perf_counter() - began)

    return sample


async def cutting() -> float:
    """Chunks a second of reading and cutting alone."""
    began = time.perf_counter()
    files = [*ROOT.glob("docs/*.md"), *(ROOT / page for page in PAGES[1:])]
    chunks = sum(
        sum(1 for _ in chunks_of(read_document(file.read_bytes(), file.name))) for file in files
    )
    return chunks / (time.perf_counter() - began)


def _row(what: str, ours: Sequence[float], name: str, theirs: Sequence[float]) -> Row:
    mine, other = statistics.median(ours), statistics.median(theirs)
    return Row(what, f"{mine:,.0f} chunks/s", f"{other:,.0f} {name}", mine / other)
