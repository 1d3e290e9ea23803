"""Items in memory, searched exactly: for tests, and for what need not outlive the process."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from dovetail_vectorstore.backend import (
    MadeWith,
    VectorBackend,
    Where,
    check_made_with,
    wrong_model,
)
from dovetail_vectorstore.errors import WrongModel
from dovetail_vectorstore.filters import passes
from dovetail_vectorstore.items import Collection, Hit, Source, Stats

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dovetail_vectorstore.items import Row, Stored, Vector
    from dovetail_vectorstore.scope import Scope

_WORD = re.compile(r"\w+")
_SATURATION, _LENGTH = 1.2, 0.75
"""The parameters of BM25, k1 and b, as SQLite has them."""


@dataclass(slots=True)
class _Collection:
    made: MadeWith = field(default_factory=lambda: MadeWith("", None))
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)


class MemoryBackend(VectorBackend):
    """Keeps everything in dictionaries. Nothing in it awaits, so that every call is atomic."""

    def __init__(self) -> None:
        self._collections: dict[str, _Collection] = {}

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """What was kept stays until the object goes."""

    async def collections(self) -> list[Collection]:
        """As the interface says."""
        return [_described(name, kept) for name, kept in sorted(self._collections.items())]

    async def made_with(self, collection: str) -> MadeWith | None:
        """As the interface says."""
        kept = self._collections.get(collection)
        return None if kept is None else kept.made

    async def put(self, collection: str, rows: Sequence[Row], *, model: str) -> None:
        """As the interface says."""
        kept = self._collections.get(collection) or _Collection()
        kept.made = check_made_with(collection, kept.made, model, rows)
        for row in rows:
            there = kept.rows.get(row.item.key)
            if row.vector is None and there and there.item.content_hash == row.item.content_hash:
                kept.rows[row.item.key] = replace(row, vector=there.vector)
            else:
                kept.rows[row.item.key] = row
        self._collections[collection] = kept

    async def get(self, collection: str, ids: Sequence[str], scope: Scope) -> list[Stored]:
        """As the interface says."""
        wanted = set(ids)
        return [row.item for row in self._rows(collection, Where(scope)) if row.item.id in wanted]

    async def page(
        self,
        collection: str,
        where: Where,
        *,
        after: tuple[str, str] | None = None,
        limit: int = 100,
        pending: bool = False,
    ) -> list[Stored]:
        """As the interface says."""
        found = sorted(
            (
                row.item
                for row in self._rows(collection, where)
                if not (pending and row.vector is not None)
            ),
            key=lambda item: item.key,
        )
        return list(islice((item for item in found if after is None or item.key > after), limit))

    async def sources(self, collection: str, where: Where) -> list[Source]:
        """As the interface says."""
        counted = Counter(row.item.source for row in self._rows(collection, where))
        return [Source(source, count) for source, count in sorted(counted.items())]

    async def delete(
        self, collection: str, where: Where, *, ids: Sequence[str] | None = None
    ) -> int:
        """As the interface says."""
        wanted = None if ids is None else set(ids)
        gone = [
            row.item.key
            for row in self._rows(collection, where)
            if where.scope.may_change(row.item.owner) and (wanted is None or row.item.id in wanted)
        ]
        for key in gone:
            del self._collections[collection].rows[key]
        return len(gone)

    async def drop(self, collection: str) -> bool:
        """As the interface says."""
        return self._collections.pop(collection, None) is not None

    async def near(self, collection: str, vector: Vector, where: Where, limit: int) -> list[Hit]:
        """As the interface says."""
        import numpy as np

        made = await self.made_with(collection)
        if made is not None and made.dimension not in (None, len(vector)):
            raise WrongModel(wrong_model(collection, made, "", len(vector)))
        found = [(r.item, r.vector) for r in self._rows(collection, where) if r.vector is not None]
        if not found:
            return []
        scores = np.stack([known for _, known in found]) @ vector
        best = np.argsort(-scores, kind="stable")[:limit]
        return [Hit(found[place][0], float(scores[place])) for place in best]

    async def matching(self, collection: str, text: str, where: Where, limit: int) -> list[Hit]:
        """As the interface says."""
        texts = [(row.item, _words(row.item.text)) for row in self._rows(collection, where)]
        wanted, usual = set(_words(text)), sum(len(words) for _, words in texts) / (len(texts) or 1)
        spread = {word: sum(word in words for _, words in texts) for word in wanted}
        hits = []
        for item, words in texts:
            length = 1 - _LENGTH + _LENGTH * len(words) / (usual or 1)
            score = sum(
                math.log(1 + (len(texts) - spread[word] + 0.5) / (spread[word] + 0.5))
                * (count * (_SATURATION + 1) / (count + _SATURATION * length))
                for word, count in Counter(words).items()
                if word in wanted
            )
            if score > 0:
                hits.append(Hit(item, score))
        return sorted(hits, key=lambda hit: -hit.score)[:limit]

    async def clear_vectors(self, collection: str, model: str) -> None:
        """As the interface says."""
        kept = self._collections.get(collection)
        if kept is not None:
            kept.made = MadeWith(model, None)
            kept.rows = {key: type(row)(row.item) for key, row in kept.rows.items()}

    async def rebuild(self, collection: str) -> int:
        """There is no index; how many vectors there are."""
        kept = self._collections.get(collection) or _Collection()
        return sum(row.vector is not None for row in kept.rows.values())

    async def stats(self, collection: str) -> Stats | None:
        """As the interface says."""
        kept = self._collections.get(collection)
        if kept is None:
            return None
        items = [row.item for row in kept.rows.values()]
        return Stats(
            _described(collection, kept),
            sources=len({item.source for item in items}),
            owners=len({item.owner for item in items}),
            disk_bytes=0,
            backend="memory",
        )

    def _rows(self, collection: str, where: Where) -> Iterator[Row]:
        kept = self._collections.get(collection)
        for row in list(kept.rows.values()) if kept is not None else ():
            if where.scope.may_see(row.item.owner) and passes(row.item, where.filters):
                yield row


def _described(name: str, kept: _Collection) -> Collection:
    pending = sum(row.vector is None for row in kept.rows.values())
    return Collection(name, kept.made.model, kept.made.dimension, len(kept.rows), pending)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
