"""Documents that somebody tells of: cut into passages, each there as a whole or not at all.

What is short enough is one item, as it was given. Of a longer one the first passage has the
document's id; all know that as `chunk_of`, and their place in it as `chunk`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dovetail_vectorstore.chunking import chunks_of
from dovetail_vectorstore.filters import MOST
from dovetail_vectorstore.items import Item, Refused
from dovetail_vectorstore.preparing import LONGEST_NAME, LONGEST_TEXT, clean, id_of
from dovetail_vectorstore.readers import blocks_of
from dovetail_vectorstore.tokens import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dovetail_vectorstore.items import Added
    from dovetail_vectorstore.scope import Scope
    from dovetail_vectorstore.store import VectorStore

OVERLAP = 8
"""Which part of a passage may repeat the one before."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where documents are kept, and whose they are."""

    store: VectorStore
    scope: Scope
    collection: str

    async def keep(self, documents: Sequence[Item], limit: int) -> Added:
        """Keep them in passages of `limit` tokens at most; `ids` and `refused` are by document."""
        cut = await asyncio.to_thread(lambda: [_cut(document, limit) for document in documents])
        flat = [(place, item) for place, items in enumerate(cut) for item in items]
        added = await self.store.add(
            [item for _, item in flat], scope=self.scope, collection=self.collection
        )
        refused: dict[int, Refused] = {}
        for one in added.refused:
            place, item = flat[one.index]
            many = len(cut[place])
            part = f"part {cut[place].index(item) + 1} of {many}: " if many > 1 else ""
            refused.setdefault(place, Refused(place, documents[place], f"{part}{one.reason}"))
        await self._tidy(documents, cut, refused)
        first: dict[int, str | None] = {}
        for (place, _), item_id in zip(flat, added.ids, strict=True):
            first.setdefault(place, item_id)
        ids = tuple(None if place in refused else first[place] for place in range(len(documents)))
        return replace(added, ids=ids, refused=tuple(refused.values()))

    async def remove(self, ids: Sequence[str] | None, sources: Sequence[str] | None) -> int:
        """Remove documents that have one of `ids` and one of `sources`; how many passages."""
        gone = 0
        for some in [None] if sources is None else _parts(sources):
            from_there: dict[str, Any] = {} if some is None else {"source": {"$in": some}}
            if ids is None:
                gone += await self._delete(from_there)
                continue
            gone += await self._delete(from_there, ids)
            for part in _parts(ids):
                gone += await self._delete({**from_there, "chunk_of": {"$in": part}})
        return gone

    async def _tidy(
        self,
        documents: Sequence[Item],
        cut: Sequence[Sequence[Item]],
        refused: Mapping[int, object],
    ) -> None:
        """Remove passages of documents that were refused, or that have fewer now."""
        latest = {document.id: place for place, document in enumerate(documents) if document.id}
        short = []
        for place, items in enumerate(cut):
            many = len(items) > 1
            if many and place in refused:
                await self._delete({"chunk_of": items[0].id})
            elif latest.get(documents[place].id) != place or place in refused:
                continue
            elif many:
                await self._delete({"chunk_of": items[0].id, "chunk": {"$gte": len(items)}})
            else:
                short.append(items[0].id)
        for part in _parts(short):
            await self._delete({"chunk_of": {"$in": part}})

    async def _delete(self, filters: Mapping[str, Any], ids: Sequence[str] | None = None) -> int:
        return await self.store.delete(
            scope=self.scope, collection=self.collection, filters=filters, ids=ids
        )


def _cut(item: Item, limit: int) -> list[Item]:
    """The passages of a document; itself if it is short, or nothing that the store would keep."""
    known: Any = item.metadata  # an event may bring anything
    texts = all(isinstance(value, str) for value in (item.text, item.source, item.id))
    if not texts or not isinstance(known, Mapping) or len(item.id) > LONGEST_NAME:
        return [item]
    fits = len(item.text) <= limit or len(item.text) > LONGEST_TEXT
    if fits or estimate_tokens(item.text) <= limit:
        return [item]
    blocks = blocks_of(item.text, item.source)
    chunks = list(chunks_of(blocks, limit=limit, overlap=limit // OVERLAP))
    if len(chunks) < 2:
        return [item]
    whole = clean(item.id) or id_of(clean(item.source), clean(item.text))
    return [
        Item(
            chunk.text,
            item.source,
            {**chunk.place, **known, "chunk_of": whole, "chunk": number},
            hashlib.sha256(f"{number}\0{whole}".encode()).hexdigest()[:32] if number else whole,
        )
        for number, chunk in enumerate(chunks)
    ]


def _parts(names: Sequence[str]) -> Iterator[list[str]]:
    """As many at a time as a filter may have."""
    for start in range(0, len(names), MOST):
        yield list(names[start : start + MOST])
