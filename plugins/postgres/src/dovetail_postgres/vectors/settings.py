"""What an operator may write in `[plugins.postgres.pgvector]`."""

from pydantic import Field

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
