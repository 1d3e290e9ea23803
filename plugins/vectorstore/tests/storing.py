"""Stores for tests, and a model that can be told to fail."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dovetail import InvalidRequest, ProviderUnavailable
from dovetail.testing import FakeModel
from dovetail_vectorstore import Scope, VectorStoreSettings

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail import EmbeddingRequest, EmbeddingResponse, ExecutionContext

ADA, BOB = Scope.user("ada"), Scope.user("bob")
MEMORY = VectorStoreSettings(backend="memory")


def in_folder(path: Path, **settings: object) -> VectorStoreSettings:
    """Settings of an embedded store."""
    given = {"path": str(path), "synchronous": "normal", **settings}
    return VectorStoreSettings.model_validate(given)


class Embeddings(FakeModel):
    """Refuses texts with the word `refused`, and counts what it is asked."""

    def __init__(self, *, model: str = "first", dimensions: int = 16) -> None:
        super().__init__()
        self.model = model
        self.dimensions = dimensions
        self.batches: list[tuple[str, ...]] = []
        self.at_once = self.most_at_once = 0
        self.away_after: int | None = None
        """After how many batches it is out of reach."""

    async def embed(
        self, request: EmbeddingRequest, context: ExecutionContext
    ) -> EmbeddingResponse:
        if self.away_after is not None and len(self.batches) >= self.away_after:
            raise ProviderUnavailable("it is away")
        if any("refused" in text for text in request.input):
            raise InvalidRequest("that word is not embedded")
        self.batches.append(request.input)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            for _ in range(5):
                await asyncio.sleep(0)
            asked = request.model_copy(update={"dimensions": self.dimensions, "model": self.model})
            return await super().embed(asked, context)
        finally:
            self.at_once -= 1

    @property
    def texts(self) -> list[str]:
        """All texts it made vectors of."""
        return [text for batch in self.batches for text in batch]
