"""Embedding the texts of a collection again, such as with another model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dovetail_vectorstore.backend import MadeWith, Where
from dovetail_vectorstore.items import Row
from dovetail_vectorstore.scope import Scope

if TYPE_CHECKING:
    from dovetail_vectorstore.adding import Progress
    from dovetail_vectorstore.backend import VectorBackend
    from dovetail_vectorstore.embedding import Embedder
    from dovetail_vectorstore.items import Stored

EVERYBODYS = Where(Scope.everyone())


@dataclass(frozen=True, slots=True)
class Reindexed:
    """What came of a reindex."""

    embedded: int = 0
    refused: tuple[tuple[Stored, str], ...] = ()
    """Items whose text the model refuses, and why: they are found by their words alone."""
    vectors: int = 0
    """How many vectors are in the index now."""


async def reindex(
    backend: VectorBackend,
    embedder: Embedder,
    batch_size: int,
    collection: str,
    *,
    everything: bool,
    progress: Progress | None,
) -> Reindexed:
    """As `VectorStore.reindex` says."""
    made = await backend.made_with(collection)
    if made is None:
        return Reindexed()
    now = await _made_now(backend, embedder, batch_size, collection)
    other = now is not None and now != MadeWith(made.model, made.dimension or now.dimension)
    if now is not None and (everything or other):
        await backend.clear_vectors(collection, now.model)
    described = {found.name: found for found in await backend.collections()}[collection]
    embedded, refused = 0, []
    after: tuple[str, str] | None = None
    while page := await backend.page(
        collection, EVERYBODYS, after=after, limit=batch_size, pending=True
    ):
        after = page[-1].key
        answer = await embedder.embed([item.text for item in page])
        rows = [Row(i, v) for i, v in zip(page, answer.vectors, strict=True) if v is not None]
        embedded += await backend.give_vectors(collection, rows, model=answer.model)
        refused += [(i, why) for i, why in zip(page, answer.refusals, strict=True) if why]
        if progress is not None:
            progress(embedded + len(refused), described.pending)
    return Reindexed(embedded, tuple(refused), await backend.rebuild(collection))


async def _made_now(
    backend: VectorBackend, embedder: Embedder, batch_size: int, collection: str
) -> MadeWith | None:
    """What would make the vectors now, before any is forgotten; None if it refuses all it is given.

    A text that it takes shows it.
    """
    for item in await backend.page(collection, EVERYBODYS, limit=batch_size):
        answer = await embedder.embed([item.text])
        vector = answer.vectors[0]
        if vector is not None:
            return MadeWith(answer.model, len(vector))
    return None
