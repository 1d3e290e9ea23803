"""What an operator may write in `[plugins.postgres.pgvector]`."""

from typing import Self

from pydantic import Field, model_validator

from dovetail import Settings


class PgvectorSettings(Settings):
    """How the HNSW indexes are built, and how thoroughly they are searched."""

    m: int = Field(
        default=16,
        ge=2,
        le=100,
        description="How many neighbours a vector has in the index: more find more, and take more "
        "time and room. An index that is there follows at the next `dovetail knowledge reindex`.",
    )
    ef_construction: int = Field(
        default=64,
        ge=4,
        le=1000,
        description="How many candidates are looked at for a vector's neighbours when it comes in; "
        "at least twice `m`.",
    )
    ef_search: int = Field(
        default=100,
        ge=1,
        le=1000,
        description="How many candidates a search looks at, at least: more find more, and take "
        "more time.",
    )

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.ef_construction < 2 * self.m:
            message = f"`ef_construction` should be at least twice `m`, which is {self.m}"
            raise ValueError(message)
        return self
