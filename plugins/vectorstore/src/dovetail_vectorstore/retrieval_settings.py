"""What an operator may write in `[plugins.vectorstore.retrieval]`."""

from typing import Literal

from pydantic import Field

from dovetail import Settings


class RetrievalSettings(Settings):
    """What `@knowledge` finds for a turn, and how much of it goes into the prompt."""

    collections: tuple[str, ...] = Field(
        default=(), description="Where it looks; without any, in the store's own collection."
    )
    mode: Literal["vector", "text", "hybrid"] = Field(
        default="hybrid", description="By meaning, by words, or by both."
    )
    limit: int = Field(default=6, ge=1, le=100, description="How many passages it gives at most.")
    threshold: float | None = Field(
        default=None, description="The least score of a passage; a cosine, or BM25 for `text`."
    )
    budget: int = Field(
        default=1000, ge=16, description="How many tokens the passages may have, sources included."
    )
    nothing: str = Field(
        default="(Nothing was found.)", description="What stands there if nothing fits."
    )
