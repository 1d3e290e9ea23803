"""Taking documents into a store in memory, for tests."""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from dovetail import EmbeddingResponse, InvalidRequest, ProviderUnavailable
from dovetail.testing import FakeModel
from dovetail_vectorstore import (
    Ingestion,
    IngestionSettings,
    Scope,
    VectorStore,
    VectorStoreSettings,
    open_store,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from dovetail import EmbeddingRequest, ExecutionContext
    from dovetail_vectorstore.tokens import TokenCounter

SHARED = Scope.shared()


class Embeddings(FakeModel):
    """Remembers every text, and can be told to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.failures: deque[Exception | None] = deque()
        """What the next calls raise; None lets one through."""
        self.refuses = ""
        """A word that no text may have."""
        self.counter: TokenCounter | None = None

    async def token_counter(self, model: str = "") -> TokenCounter | None:
        return self.counter

    async def embed(
        self, request: EmbeddingRequest, context: ExecutionContext
    ) -> EmbeddingResponse:
        if self.failures and (failure := self.failures.popleft()) is not None:
            raise failure
        if self.refuses and any(self.refuses in text for text in request.input):
            raise InvalidRequest("the text is too long")
        self.texts += request.input
        return await super().embed(request, context)


class Library:
    """A store, what fills it, and its model."""

    def __init__(self, store: VectorStore, model: Embeddings, settings: Mapping[str, Any]) -> None:
        self.store = store
        self.model = model
        self.ingestion = Ingestion()
        self.ingestion.shared = store.shared
        self.ingestion.settings = IngestionSettings.model_validate(dict(settings))

    async def texts(self, source: str = "", scope: Scope = SHARED) -> list[str]:
        """All that is stored, or all of one source, in the order of its parts."""
        filters = {"source": source} if source else {}
        items = await self.store.page(scope=scope, filters=filters, limit=10_000)
        items.sort(key=lambda item: (item.source, item.metadata["part"]))
        return [item.text for item in items]

    async def sources(self, scope: Scope = SHARED) -> list[str]:
        """The names of the documents."""
        return [one.source for one in await self.store.sources(scope=scope)]


@asynccontextmanager
async def library(
    settings: Mapping[str, Any] | None = None, **store: Any
) -> AsyncIterator[Library]:
    """A library in memory; `settings` are those of ingestion."""
    model = Embeddings()
    made = VectorStoreSettings.model_validate({"backend": "memory", **store})
    async with open_store(made, model) as opened:
        yield Library(opened, model, settings or {})


def write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files, with the folders they are in."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


DOWN = ProviderUnavailable("the model is down")
