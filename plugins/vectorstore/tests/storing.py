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
        self.asked = 0
        self.stumbles = ""
        """A word that has it break down."""
        self.broken: dict[str, tuple[float, ...]] = {}
        """What it makes of these texts in place of a vector."""
        self.loses = 0
        """How many vectors it leaves out of each answer."""
        self.widths: tuple[int, ...] = ()
        """The dimensions that it may be asked for, if it cannot make all."""

    async def embed(
        self, request: EmbeddingRequest, context: ExecutionContext
    ) -> EmbeddingResponse:
        self.asked += 1
        if self.widths and request.dimensions not in (None, *self.widths):
            raise InvalidRequest(f"it makes no vectors of {request.dimensions} dimensions")
        if self.away_after is not None and len(self.batches) >= self.away_after:
            raise ProviderUnavailable("it is away")
        if self.stumbles and any(self.stumbles in text for text in request.input):
            raise ProviderUnavailable("status 500")
        if any("refused" in text for text in request.input):
            raise InvalidRequest("that word is not embedded")
        self.batches.append(request.input)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            for _ in range(5):
                await asyncio.sleep(0)
            asked = request.model_copy(update={"dimensions": self.dimensions, "model": self.model})
            answer = await super().embed(asked, context)
            made = zip(request.input, answer.embeddings, strict=True)
            kept = tuple(self.broken.get(text, vector) for text, vector in made)
            return answer.model_copy(update={"embeddings": kept[: len(kept) - self.loses]})
        finally:
            self.at_once -= 1

    @property
    def texts(self) -> list[str]:
        """All texts it made vectors of."""
        return [text for batch in self.batches for text in batch]
