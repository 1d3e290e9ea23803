"""What keeps the items: one small interface, for a folder of this machine and for a server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dovetail_vectorstore.errors import WrongModel
from dovetail_vectorstore.items import Row
from dovetail_vectorstore.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail_vectorstore.filters import Filter
    from dovetail_vectorstore.items import Collection, Hit, Source, Stats, Stored, Vector


@dataclass(frozen=True, slots=True)
class Where:
    """Which items: those that the scope sees and that pass the filter. Both hold, always."""

    scope: Scope
    filters: Filter | None = None


@dataclass(frozen=True, slots=True)
class MadeWith:
    """What made the vectors of a collection."""

    model: str
    """The embedding model; empty while there is none, or nobody said."""
    dimension: int | None
    """How many numbers a vector has; None while there is none."""


class VectorBackend(ABC):
    """Keeps items and finds them by vector and by text.

    It is used by many tasks at once. Vectors are float32, of length 1 (or 0), so that the cosine is
    the dot product. What `put` and `delete` did is kept for good when they return, and is found
    from then on. A collection that is not there is an empty one, in every call. Errors are
    `VectorStoreError`; `dovetail_vectorstore.testing.VectorBackendContract` says the rest.

    A plugin that brings one returns it from the hook `services`, as a `ContextAwareService` that is
    one of these too; `[plugins.vectorstore] backend` names it.
    """

    @abstractmethod
    async def open(self) -> None:
        """Get ready; called once before anything else."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of everything; may be called again."""

    @abstractmethod
    async def collections(self) -> list[Collection]:
        """Every collection that was ever put into and not dropped, by name."""

    @abstractmethod
    async def made_with(self, collection: str) -> MadeWith | None:
        """What made its vectors; None if there is no such collection. Asked for each search."""

    @abstractmethod
    async def put(self, collection: str, rows: Sequence[Row], *, model: str) -> None:
        """Keep `rows`, all or none; one of the same owner and id is replaced.

        The collection is made if it is not there. `model` made the vectors; empty: nobody knows.
        The first vector decides the dimension, and the first known model the model.

        Raises:
            WrongModel: the collection has vectors of another dimension or model.
            StoreFull: there is no room.
        """

    @abstractmethod
    async def get(self, collection: str, ids: Sequence[str], scope: Scope) -> list[Stored]:
        """The items of these ids that `scope` sees, in no order."""

    @abstractmethod
    async def page(
        self,
        collection: str,
        where: Where,
        *,
        after: tuple[str, str] | None = None,
        limit: int = 100,
        pending: bool = False,
    ) -> list[Stored]:
        """The next `limit` items by owner and id, after the key given; `pending`: without vector.

        Owner and id are ordered by their code points.
        """

    @abstractmethod
    async def sources(self, collection: str, where: Where) -> list[Source]:
        """The sources of these items, by name (in the order of code points)."""

    @abstractmethod
    async def delete(
        self, collection: str, where: Where, *, ids: Sequence[str] | None = None
    ) -> int:
        """Remove items that pass and that the scope may change; how many there were.

        `ids` narrows that to these.
        """

    @abstractmethod
    async def drop(self, collection: str) -> bool:
        """Remove a collection with all that is in it; whether it was there."""

    @abstractmethod
    async def near(self, collection: str, vector: Vector, where: Where, limit: int) -> list[Hit]:
        """The items whose vectors are nearest, the best first; the score is the cosine.

        Raises:
            WrongModel: the collection's vectors have another dimension.
        """

    @abstractmethod
    async def matching(self, collection: str, text: str, where: Where, limit: int) -> list[Hit]:
        """The items that hold words of `text`, the best first; the score is above 0.

        `text` is what somebody typed: nothing in it is an operator. Whole words count, upper and
        lower case do not, and one word of it is enough.
        """

    @abstractmethod
    async def clear_vectors(self, collection: str, model: str) -> None:
        """Forget every vector, and the dimension: the texts stay, and wait to be embedded."""

    async def give_vectors(self, collection: str, rows: Sequence[Row], *, model: str) -> int:
        """Give items that are there with the same text the vectors of `rows`; how many.

        What was deleted or changed since somebody read it is left as it is. Override it where
        that can be looked at and put in one step, with nothing in between.

        Raises:
            WrongModel: as `put`.
        """
        ids = [row.item.id for row in rows]
        found = unchanged(rows, await self.get(collection, ids, Scope.everyone()))
        if found:
            await self.put(collection, found, model=model)
        return len(found)

    @abstractmethod
    async def rebuild(self, collection: str) -> int:
        """Make its index again from what is kept; how many vectors are in it."""

    @abstractmethod
    async def stats(self, collection: str) -> Stats | None:
        """What is known of it; None if there is no such collection."""


def unchanged(rows: Sequence[Row], there: Sequence[Stored]) -> list[Row]:
    """Those of `rows` whose text is `there`, with what is known of them by now, for backends."""
    known = {item.key: item for item in there}
    return [
        Row(item, row.vector)
        for row in rows
        if (item := known.get(row.item.key)) and item.content_hash == row.item.content_hash
    ]


def check_made_with(
    collection: str, made: MadeWith | None, model: str, rows: Sequence[Row]
) -> MadeWith:
    """What has made its vectors once `rows` are in it, for backends.

    Raises:
        WrongModel: they cannot be in one collection.
    """
    made = made or MadeWith("", None)
    sizes = {len(row.vector) for row in rows if row.vector is not None}
    if not sizes:
        return made
    if made.dimension is not None:
        sizes.add(made.dimension)
    other = bool(model and made.model and model != made.model)
    if len(sizes) > 1 or other:
        raise WrongModel(
            wrong_model(
                collection, made, model, max(sizes - {made.dimension}, default=made.dimension)
            )
        )
    return MadeWith(made.model or model, sizes.pop())


def wrong_model(collection: str, made: MadeWith, model: str, dimension: int | None) -> str:
    """The sentence that says what does not fit, and how to index again."""

    def said(name: str, size: int | None) -> str:
        by = f"`{name}`" if name else "a model that nobody named"
        return by if size is None else f"{by} ({size} dimensions)"

    return (
        f"the collection `{collection}` was made with {said(made.model, made.dimension)} and "
        f"cannot be compared with vectors of {said(model, dimension)}: set `embedding_model` (and "
        f"`dimensions`) back, or have its texts embedded again by "
        f"`dovetail knowledge reindex {collection}`"
    )
