"""The service `retrieval`: what is known of a question, for a prompt."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from dovetail import ContextAwareService
from dovetail_vectorstore.errors import ItemRefused
from dovetail_vectorstore.fusion import fuse
from dovetail_vectorstore.keywords import keywords, widened
from dovetail_vectorstore.passages import Passages, passages, place_of_hit
from dovetail_vectorstore.retrieval_settings import RetrievalSettings
from dovetail_vectorstore.store import VectorStore
from dovetail_vectorstore.vault import Vault

if TYPE_CHECKING:
    from dovetail import SmartDependencyContainer
    from dovetail_vectorstore.items import Hit
    from dovetail_vectorstore.scope import Scope

DEEPER = 4
"""How many times as many passages of each ranking are looked at as are wanted of both."""


class Retrieval(ContextAwareService):
    """Finds passages for a question. Its settings stand in `[plugins.vectorstore.retrieval]`."""

    name = "retrieval"
    settings: RetrievalSettings
    shared: Vault

    def __init__(self, dependency_container: SmartDependencyContainer | None = None) -> None:
        super().__init__(dependency_container)
        self.settings = RetrievalSettings()

    async def find(self, question: str, *, scope: Scope, limit: int = 0) -> list[Hit]:
        """The passages that fit `question` best, the best first; `limit` is the settings' own.

        Raises:
            ProviderError: the embedding model cannot be asked.
        """
        if not question.strip():
            return []
        store = VectorStore(self.dependency_container)
        store.shared = self.shared
        limit = limit or self.settings.limit
        found: list[Hit] = []
        for collection in self.settings.collections or ("",):
            found += await self._search(store, question, scope, collection, limit)
        return sorted(found, key=lambda hit: -hit.score)[:limit]

    async def passages(self, question: str, *, scope: Scope, budget: int = 0) -> Passages:
        """The passages that fit `question`, each under its place, in at most `budget` tokens.

        `budget` is the settings' own unless it is given.

        Raises:
            ProviderError: the embedding model cannot be asked.
        """
        hits = await self.find(question, scope=scope)
        return passages(hits, budget or self.settings.budget)

    async def render(self, question: str, *, scope: Scope, budget: int = 0) -> str:
        """The text of these passages, or the settings' `nothing`."""
        found = await self.passages(question, scope=scope, budget=budget)
        return found.text or self.settings.nothing

    async def _search(
        self, store: VectorStore, question: str, scope: Scope, collection: str, limit: int
    ) -> list[Hit]:
        settings = self.settings
        search = partial(store.search, scope=scope, collection=collection)
        near, threshold = settings.mode, settings.threshold
        words = widened(keywords(question))
        if near == "text":
            return await search(words, mode="text", limit=limit, threshold=threshold)
        if near == "vector":
            return await search(question, mode="vector", limit=limit, threshold=threshold)
        # Not the store's own hybrid search: the words that matter are fewer than the meaning's.
        deep = min(limit * DEEPER, 100)
        said = await search(words, mode="text", limit=deep)
        try:
            meant = await search(question, mode="vector", limit=deep, threshold=threshold)
        except ItemRefused:
            if not said:
                raise
            meant = []  # such as a question that is too long for the model
        return fuse([meant, said], limit)


def described(hit: Hit) -> dict[str, Any]:
    """A passage as JSON data."""
    return {
        "text": hit.text,
        "source": hit.source,
        "place": place_of_hit(hit),
        "score": hit.score,
        "metadata": dict(hit.metadata),
    }
