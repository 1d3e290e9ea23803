"""Adding items: what is there already is left, the rest is embedded in batches and kept."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from dovetail_vectorstore.errors import ItemRefused
from dovetail_vectorstore.items import Added, Refused, Row
from dovetail_vectorstore.preparing import stored, unit
from dovetail_vectorstore.scope import Scope, check_scope, owner_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dovetail_vectorstore.backend import VectorBackend
    from dovetail_vectorstore.embedding import Embedder
    from dovetail_vectorstore.items import Item, Stored, Vector
    from dovetail_vectorstore.settings import VectorStoreSettings

Progress: TypeAlias = Callable[[int, int], object]
"""Called with how many are done, and how many there are."""

TOGETHER = 250
"""How many items that come with their vectors are kept at once."""
BREATH = 50
"""How many are prepared before others have a turn: a millisecond."""


@dataclass(slots=True)
class _Batch:
    """Some of the items, in order, and what is to be kept of them."""

    size: int
    rows: list[Row] = field(default_factory=list)
    model: str = ""


@dataclass(frozen=True, slots=True)
class _Text:
    """An item that waits to be embedded."""

    index: int
    item: Item
    kept: Stored
    counted: str
    """As what: `added`, `updated` or `unchanged`."""


class Adding:
    """One call of `VectorStore.add`.

    Several batches are embedded at once; they are kept in order, so that of two items with one id
    the later stays, and what was broken off is a beginning.
    """

    def __init__(
        self,
        backend: VectorBackend,
        embedder: Embedder,
        settings: VectorStoreSettings,
        collection: str,
        scope: Scope,
    ) -> None:
        self._backend = backend
        self._embedder = embedder
        self._settings = settings
        self._collection = collection
        self._owner = owner_of(check_scope(scope))
        self._dimension: int | None = None
        self._ids: list[str | None] = []
        self._known: dict[str, Stored] = {}
        """What is there of those ids that were met so far, or is about to be."""
        self._waiting: set[str] = set()
        """The ids of those that are embedded now, or were refused: it may not come to be there."""
        self._refused: list[Refused] = []
        self._counts = Counter[str]()

    async def run(self, items: Sequence[Item], progress: Progress | None) -> Added:
        """Keep `items`; as `VectorStore.add` says."""
        self._ids = [None] * len(items)
        made = await self._backend.made_with(self._collection)
        self._dimension = None if made is None else made.dimension
        under_way: deque[asyncio.Task[_Batch]] = deque()
        done = 0
        batches = self._batches(items)
        try:
            while True:
                while len(under_way) < self._settings.concurrency and (some := next(batches, ())):
                    rows, texts = await self._sort(some)
                    under_way.append(asyncio.create_task(self._fill(len(some), rows, texts)))
                if not under_way:
                    break
                batch = await under_way.popleft()
                if batch.rows:
                    await self._backend.put(self._collection, batch.rows, model=batch.model)
                done += batch.size
                if progress is not None:
                    progress(done, len(items))
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        self._refused.sort(key=lambda refused: refused.index)
        counts = self._counts
        return Added(
            tuple(self._ids),
            counts["added"],
            counts["updated"],
            counts["unchanged"],
            tuple(self._refused),
        )

    def _batches(self, items: Sequence[Item]) -> Iterator[Sequence[tuple[int, Item]]]:
        """The items with their places: those to embed as many as the model is given at once."""
        batch: list[tuple[int, Item]] = []
        bare = False
        for index, item in enumerate(items):
            most = self._settings.batch_size if bare else TOGETHER
            if batch and (len(batch) >= most or (item.vector is None) != bare):
                yield batch
                batch = []
            bare = item.vector is None
            batch.append((index, item))
        if batch:
            yield batch

    async def _prepared(
        self, some: Sequence[tuple[int, Item]]
    ) -> list[tuple[int, Item, Stored, Vector | None]]:
        """Those that can be kept; the others are refused."""
        ready: list[tuple[int, Item, Stored, Vector | None]] = []
        for place, (index, item) in enumerate(some):
            if place % BREATH == 0:
                await asyncio.sleep(0)
            try:
                kept = stored(item, self._owner)
                vector = None if item.vector is None else self._checked(unit(item.vector))
            except ItemRefused as error:
                self._refused.append(Refused(index, item, str(error)))
            else:
                ready.append((index, item, kept, vector))
        return ready

    async def _sort(self, some: Sequence[tuple[int, Item]]) -> tuple[list[Row], list[_Text]]:
        """What can be kept as it is, and what is to be embedded first."""
        ready = await self._prepared(some)
        unknown = list({kept.id for _, _, kept, _ in ready if kept.id not in self._known})
        scope = Scope(self._owner, frozenset((self._owner,)))
        for known in await self._backend.get(self._collection, unknown, scope):
            self._known[known.id] = known
        rows: list[Row] = []
        texts: list[_Text] = []
        for index, item, kept, vector in ready:
            self._ids[index] = kept.id
            there = self._known.get(kept.id)
            self._known[kept.id] = kept
            counted = "added" if there is None else "updated"
            if there is not None and vector is None and _same(there, kept):
                counted = "unchanged"
            self._counts[counted] += 1
            if kept.id not in self._waiting:
                if counted == "unchanged":
                    continue
                if there is not None and there.content_hash == kept.content_hash:
                    rows.append(Row(replace(kept, added=there.added), vector))
                    continue
            if vector is not None or self._embedder.absent:
                rows.append(Row(kept, vector))
            else:
                self._waiting.add(kept.id)
                texts.append(_Text(index, item, kept, counted))
        return rows, texts

    async def _fill(self, size: int, rows: list[Row], texts: list[_Text]) -> _Batch:
        """All that is to be kept of a batch."""
        if not texts:
            return _Batch(size, rows)
        each = list(dict.fromkeys(text.kept.text for text in texts))
        embedded = await self._embedder.embed(each)
        pairs = zip(embedded.vectors, embedded.refusals, strict=True)
        answers = dict(zip(each, pairs, strict=True))
        for text in texts:
            vector, refusal = answers[text.kept.text]
            if vector is not None:
                rows.append(Row(text.kept, vector))
                self._waiting.discard(text.kept.id)
                continue
            # What was there before stays.
            why = f"the embedding model refuses it: {refusal}"
            self._refused.append(Refused(text.index, text.item, why))
            self._ids[text.index] = None
            self._counts[text.counted] -= 1
        return _Batch(size, rows, embedded.model)

    def _checked(self, vector: Vector) -> Vector:
        """`vector`, if it fits; the first decides where the collection is new."""
        if self._dimension is None:
            self._dimension = len(vector)
        if len(vector) != self._dimension:
            raise ItemRefused(
                f"its vector has {len(vector)} numbers, and those of `{self._collection}` have "
                f"{self._dimension}"
            )
        return vector


def _same(one: Stored, other: Stored) -> bool:
    return (one.content_hash, one.source, one.metadata) == (
        other.content_hash,
        other.source,
        other.metadata,
    )
