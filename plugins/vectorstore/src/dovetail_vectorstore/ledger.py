"""What was taken in: the store itself says it, so that the two can never disagree.

Every chunk knows the `document` it is of, a hash of all that decides what the chunks are, and its
`part` in it. The first part is kept last: where it is, the others are, and nothing of an older
version is left. So what was broken off at any moment is seen, and done again.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from dovetail_vectorstore.items import Item

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dovetail_vectorstore.documents import Chunk
    from dovetail_vectorstore.scope import Scope
    from dovetail_vectorstore.store import VectorStore

READING = 1
"""Counts the changes of readers and chunking after which documents should be read again."""
PAGE = 500
INGESTED = {"part": {"$exists": True}}
"""What passes is a part of a document."""
HEADS = {"part": 0}


def document_hash(data: bytes, *decides: object) -> str:
    """Of a document, and of what else decides what its chunks are."""
    digest = hashlib.sha256(data)
    digest.update(repr((READING, *decides)).encode())
    return digest.hexdigest()


def items_of(source: str, document: str, chunks: Sequence[Chunk]) -> list[Item]:
    """The items of a document, in order. The id of all but the first changes with the text."""
    items = []
    times: dict[str, int] = {}
    for part, chunk in enumerate(chunks):
        times[chunk.text] = nth = times.get(chunk.text, 0) + 1
        what = f"{source}\0{nth}\0{chunk.text}" if part else f"{source}\0"
        made = hashlib.sha256(what.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        items.append(Item(chunk.text, source, _metadata(chunk, document, part, len(chunks)), made))
    return items


def of_source(source: str) -> dict[str, Any]:
    """What passes is a part of this document."""
    return {"source": source, **INGESTED}


def stale(source: str, document: str) -> dict[str, Any]:
    """What passes is a part of another version of a document, and not the first."""
    return {"source": source, "document": {"$ne": document}, "part": {"$gt": 0}}


class Ledger:
    """What the store has of one owner's documents, as it was when it was read."""

    def __init__(self, complete: dict[str, str], sources: Iterable[str]) -> None:
        self._complete = complete
        self.sources = frozenset(sources)
        """The sources of which anything is there."""

    @classmethod
    async def read(cls, store: VectorStore, scope: Scope, collection: str) -> Ledger:
        """Read it."""
        complete: dict[str, str] = {}
        after = None
        while page := await store.page(
            scope=scope, collection=collection, filters=HEADS, after=after, limit=PAGE
        ):
            after = page[-1]
            complete.update((head.source, str(head.metadata.get("document"))) for head in page)
        found = await store.sources(scope=scope, collection=collection, filters=INGESTED)
        return cls(complete, (source.source for source in found))

    def knows(self, source: str) -> bool:
        """Whether some version of a document is there, all of it or what a later one left."""
        return source in self._complete

    def has(self, source: str, document: str) -> bool:
        """Whether this version of a document is there, all of it."""
        return self._complete.get(source) == document


def _metadata(chunk: Chunk, document: str, part: int, parts: int) -> dict[str, Any]:
    return {"document": document, "part": part, "parts": parts, **chunk.place}
