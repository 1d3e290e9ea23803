"""The service `vector_store`: add items, and find them by meaning and by words."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from dovetail import ContextAwareService
from dovetail_vectorstore.adding import Adding, Progress
from dovetail_vectorstore.backend import Where, wrong_model
from dovetail_vectorstore.errors import ItemRefused, VectorStoreError, WrongModel
from dovetail_vectorstore.filters import parse_filters
from dovetail_vectorstore.fusion import fuse
from dovetail_vectorstore.items import Item
from dovetail_vectorstore.preparing import clean, unit
from dovetail_vectorstore.reindexing import Reindexed, reindex
from dovetail_vectorstore.scope import Scope, check_scope
from dovetail_vectorstore.vault import Vault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from dovetail import EmbeddingProvider
    from dovetail_vectorstore.backend import VectorBackend
    from dovetail_vectorstore.items import Added, Collection, Hit, Source, Stats, Stored, Vector
    from dovetail_vectorstore.settings import VectorStoreSettings

Mode: TypeAlias = Literal["vector", "text", "hybrid"]
Filters: TypeAlias = "Mapping[str, Any] | None"

MOST_HITS = 1000
DEEPER = 4
"""How many times as many hits of each ranking are looked at as are wanted of both together."""
LEAST_DEPTH = 40


class VectorStore(ContextAwareService):
    """Items by meaning and by words, in collections, each item with one owner.

    Every call says in which `scope` it works; see `Scope`. `collection` is the settings' own
    unless it is given. It may be used by many tasks at once. What is kept, how and where is the
    backend's; `[plugins.vectorstore]` chooses it.
    """

    name = "vector_store"
    shared: Vault

    async def add(
        self,
        items: Iterable[Item | str],
        *,
        scope: Scope,
        collection: str = "",
        progress: Progress | None = None,
    ) -> Added:
        """Keep `items` for the owner of `scope`; what is there already, as it is, costs nothing.

        Items without a vector are embedded in batches. One that cannot be kept is listed in
        `refused`, and the others are. `progress` is called with how many are done and how many
        there are. If it raises, what was kept until then is kept: add the same again.

        Raises:
            ProviderError: the embedding model cannot be asked.
            ScopeError: it is everybody's.
            WrongModel: the collection was made with another model or dimension.
        """
        whole = [Item(item) if isinstance(item, str) else item for item in items]
        backend, name = await self._at(collection)
        return await Adding(backend, self.shared.embedder, self.shared.settings, name, scope).run(
            whole, progress
        )

    async def search(
        self,
        query: str | Sequence[float] | Vector,
        *,
        scope: Scope,
        collection: str = "",
        mode: Mode | None = None,
        filters: Filters = None,
        limit: int = 10,
        threshold: float | None = None,
    ) -> list[Hit]:
        """The items that fit `query` best, the best first.

        `query` is a text or a vector. `mode` is "vector" (by meaning), "text" (by its words) or
        "hybrid" (both, fused by reciprocal rank), which it is for a text unless it is given. What
        `filters` may hold is in `dovetail_vectorstore.filters`. `threshold` is the least score; in
        a hybrid search the least cosine of what was found by meaning.

        Raises:
            FilterError: the filters cannot be understood.
            ProviderError: the embedding model cannot be asked.
            WrongModel: the query's vector cannot be compared with those of the collection.
        """
        where = Where(check_scope(scope), parse_filters(filters))
        mode = _mode(query, mode)
        if not 1 <= limit <= MOST_HITS:
            raise ValueError(f"`limit` is {limit!r}; it is 1 to {MOST_HITS}")
        backend, name = await self._at(collection)
        if mode == "vector":
            return await self._near(backend, name, query, where, limit, threshold)
        text = clean(str(query))
        if mode == "text":
            hits = await backend.matching(name, text, where, limit)
            return [hit for hit in hits if threshold is None or hit.score >= threshold]
        depth = min(max(limit * DEEPER, LEAST_DEPTH), MOST_HITS)
        matching = asyncio.create_task(backend.matching(name, text, where, depth))
        try:
            near = await self._near(backend, name, query, where, depth, threshold)
            return fuse([near, await matching], limit)
        finally:
            matching.cancel()
            await asyncio.gather(matching, return_exceptions=True)

    async def get(self, ids: Sequence[str], *, scope: Scope, collection: str = "") -> list[Stored]:
        """The items of these ids that `scope` sees, in the order of `ids`."""
        check_scope(scope)
        backend, name = await self._at(collection)
        places = {clean(item_id): place for place, item_id in reversed(list(enumerate(ids)))}
        found = await backend.get(name, list(places), scope)
        return sorted(found, key=lambda item: (places[item.id], item.owner))

    async def delete(
        self,
        *,
        scope: Scope,
        collection: str = "",
        ids: Sequence[str] | None = None,
        filters: Filters = None,
    ) -> int:
        """Remove the items of these ids, or those that pass `filters`, or both; how many.

        Only what the scope's own owner has: not what it finds beside.

        Raises:
            VectorStoreError: neither is given. To remove all of an owner: `filters={}`.
        """
        check_scope(scope)
        if ids is None and filters is None:
            raise VectorStoreError("say what to delete: `ids`, or `filters`; `{}` is everything")
        where = Where(scope, parse_filters(filters))
        backend, name = await self._at(collection)
        wanted = None if ids is None else [clean(item_id) for item_id in ids]
        return await backend.delete(name, where, ids=wanted)

    async def page(
        self,
        *,
        scope: Scope,
        collection: str = "",
        filters: Filters = None,
        after: Stored | None = None,
        limit: int = 100,
    ) -> list[Stored]:
        """The next `limit` items after the one given, in a fixed order: to look at them all."""
        where = Where(check_scope(scope), parse_filters(filters))
        backend, name = await self._at(collection)
        return await backend.page(
            name, where, after=None if after is None else after.key, limit=limit
        )

    async def sources(
        self, *, scope: Scope, collection: str = "", filters: Filters = None
    ) -> list[Source]:
        """Where the items are from that `scope` sees, and how many are from each, by name."""
        where = Where(check_scope(scope), parse_filters(filters))
        backend, name = await self._at(collection)
        return await backend.sources(name, where)

    async def collections(self) -> list[Collection]:
        """Every collection, by name."""
        return await (await self.shared.backend()).collections()

    async def stats(self, collection: str = "") -> Stats | None:
        """What is known of a collection; None if there is none of this name."""
        backend, name = await self._at(collection)
        return await backend.stats(name)

    async def drop(self, collection: str) -> bool:
        """Remove a collection with everybody's items; whether there was one. For operators."""
        backend, name = await self._at(collection)
        return await backend.drop(name)

    async def reindex(
        self, collection: str = "", *, everything: bool = False, progress: Progress | None = None
    ) -> Reindexed:
        """Embed the texts that wait for it with the model that is configured now.

        These are all if the collection was made with another model, or if `everything` is asked
        for, and are found by their words meanwhile. If it is broken off, it goes on from there the
        next time. The backend's index is made anew.

        Raises:
            ProviderError: the embedding model cannot be asked.
        """
        backend, name = await self._at(collection)
        return await reindex(
            backend,
            self.shared.embedder,
            self.shared.settings.batch_size,
            name,
            everything=everything,
            progress=progress,
        )

    async def _at(self, collection: str) -> tuple[VectorBackend, str]:
        name = collection or self.shared.settings.collection
        if clean(name) != name or len(name) > 200:
            raise VectorStoreError(f"a collection is named by 200 characters at most: {name!r:.80}")
        return await self.shared.backend(), name

    async def _near(
        self,
        backend: VectorBackend,
        name: str,
        query: Any,
        where: Where,
        limit: int,
        threshold: float | None,
    ) -> list[Hit]:
        made = await backend.made_with(name)
        if made is None or made.dimension is None:
            return []  # nothing is stored: no reason to ask the model
        if isinstance(query, str) and self.shared.embedder.absent:
            return []  # it is found by its words
        model = ""
        if isinstance(query, str):
            embedded = await self.shared.embedder.embed_query(clean(query))
            vector, model = embedded.vectors[0], embedded.model
            if vector is None:
                raise ItemRefused(f"the embedding model refuses the query: {embedded.refusals[0]}")
        else:
            vector = unit(query)
        other = bool(model and made.model and model != made.model)
        if other or len(vector) != made.dimension:
            raise WrongModel(wrong_model(name, made, model, len(vector)))
        hits = await backend.near(name, vector, where, limit)
        return [hit for hit in hits if threshold is None or hit.score >= threshold]


@asynccontextmanager
async def open_store(
    settings: VectorStoreSettings, provider: EmbeddingProvider | None = None
) -> AsyncIterator[VectorStore]:
    """A store without a kernel; `provider` makes the vectors of items that come without.

    Without one, they are found by their words alone.
    """
    vault = Vault(settings=settings, provider=provider)
    try:
        await vault.start()
        store = VectorStore()
        store.shared = vault
        yield store
    finally:
        await vault.stop()


def _mode(query: object, mode: Mode | None) -> Mode:
    if mode not in (None, "vector", "text", "hybrid"):
        raise ValueError(f'`mode` is {mode!r}; it is "vector", "text" or "hybrid"')
    if isinstance(query, str):
        return mode or "hybrid"
    if mode in ("text", "hybrid"):
        raise ValueError(f"a {mode} search takes a text, not a vector")
    return "vector"
