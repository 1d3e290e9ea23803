"""Adding and searching: by dovetail's store, by the product with a NumPy array, by chromadb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import chromadb
import numpy as np

from dovetail_vectorstore import Item, Scope, VectorStoreSettings, open_store
from tests.benchmarks.vector_data import NEAREST, metadata_of, text_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from dovetail_vectorstore import VectorStore

    Where: TypeAlias = "Mapping[str, Any] | None"


class Search(Protocol):
    """Gives the ids of the nearest to a query that pass a filter, the nearest first."""

    def __call__(self, query: Any, where: Where = None) -> Awaitable[list[str]]: ...


AT_ONCE = 5_000
"""How many are added at once; chromadb takes 5,461 at most."""


def opened(folder: str) -> AbstractAsyncContextManager[VectorStore]:
    """Our store, embedded, with its own settings."""
    return open_store(VectorStoreSettings(path=folder))


async def fill(folder: str, vectors: Any) -> None:
    """Add all to our store, and close it: all is found and saved then."""
    async with opened(folder) as store:
        for numbers in _batches(vectors):
            items = [
                Item(text_of(n), metadata=metadata_of(n), id=str(n), vector=vectors[n])
                for n in numbers
            ]
            await store.add(items, scope=Scope.shared())


def searching(store: VectorStore) -> Search:
    """By our store."""

    async def search(query: Any, where: Where = None) -> list[str]:
        found = await store.search(query, scope=Scope.shared(), filters=where, limit=NEAREST)
        return [hit.id for hit in found]

    return search


def exact(vectors: Any) -> Search:
    """By the product of all vectors with the query."""

    async def search(query: Any, where: Where = None) -> list[str]:
        scores = vectors @ query
        best = np.argpartition(scores, -NEAREST)[-NEAREST:]
        return [str(number) for number in best[np.argsort(-scores[best])]]

    return search


def collection(folder: str) -> Any:
    """chromadb's collection in a folder, made if it is not there."""
    settings = chromadb.Settings(anonymized_telemetry=False)
    client = chromadb.PersistentClient(folder, settings=settings)
    return client.get_or_create_collection("bench", metadata={"hnsw:space": "cosine"})


def fill_theirs(folder: str, vectors: Any) -> None:
    """Add all to chromadb."""
    theirs = collection(folder)
    for numbers in _batches(vectors):
        theirs.add(
            ids=[str(number) for number in numbers],
            embeddings=vectors[numbers.start : numbers.stop],
            documents=[text_of(number) for number in numbers],
            metadatas=[metadata_of(number) for number in numbers],
        )


def searching_theirs(folder: str) -> Search:
    """By chromadb."""
    theirs = collection(folder)

    async def search(query: Any, where: Where = None) -> list[str]:
        found = theirs.query(query_embeddings=[query], n_results=NEAREST, where=where)
        ids: list[str] = found["ids"][0]
        return ids

    return search


def recall_of(found: Sequence[list[str]], right: Sequence[list[str]]) -> float:
    """Which part of the nearest were found."""
    same = [len(set(some) & set(known)) for some, known in zip(found, right, strict=True)]
    return sum(same) / sum(map(len, right))


def _batches(vectors: Any) -> list[range]:
    count = len(vectors)
    return [range(at, min(at + AT_ONCE, count)) for at in range(0, count, AT_ONCE)]
