"""The tables: one of collections, and one for the items of each, so that each has its own index.

No statement holds a value: texts are put together of numbers of ours and the schema's name, which
the settings check.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dovetail_postgres.vectors.settings import PgvectorSettings
    from dovetail_vectorstore.backend import MadeWith

STEPS = (
    # A code is never given twice: who still asks for a table that was dropped finds none.
    """
    CREATE EXTENSION IF NOT EXISTS vector;

    CREATE TABLE {schema}.vector_collections (
        code bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text COLLATE "C" NOT NULL UNIQUE,
        model text NOT NULL DEFAULT '',
        dimension integer
    );
    """,
)

LARGEST = 16_000
"""How many numbers a vector of pgvector's may have."""
_INDEXED = {2_000: "vector", 4_000: "halfvec"}
"""Up to how many of them an index takes, as what."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where a collection is kept."""

    schema: str
    name: str
    code: int
    made: MadeWith

    @property
    def table(self) -> str:
        """The table of its items."""
        return f'"{self.schema}".vectors_{self.code}'

    @property
    def index(self) -> str:
        """The index that finds vectors."""
        return f"{self.table}_near"


def kind_of(dimension: int | None) -> str | None:
    """The type in which vectors of this size are indexed; None if they are not."""
    for most, kind in _INDEXED.items():
        if dimension is not None and dimension <= most:
            return f"{kind}({dimension})"
    return None


def table_of_items(shelf: Shelf) -> str:
    """The statements that make it; the index of vectors waits for the first of them."""
    name = f"vectors_{shelf.code}"
    return f"""
    CREATE TABLE {shelf.table} (
        owner text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        hash bytea NOT NULL,
        added timestamptz NOT NULL,
        source text COLLATE "C" NOT NULL,
        metadata json NOT NULL,
        fields jsonb NOT NULL,
        words tsvector NOT NULL,
        text text NOT NULL,
        embedding vector,
        PRIMARY KEY (owner, id)
    );
    COMMENT ON COLUMN {shelf.table}.fields IS 'source and metadata as filters look at them';
    CREATE INDEX {name}_fields ON {shelf.table} USING gin (fields jsonb_path_ops);
    CREATE INDEX {name}_words ON {shelf.table} USING gin (words);
    CREATE INDEX {name}_pending ON {shelf.table} (owner, id) WHERE embedding IS NULL;
    """


def reserve(shelf: Shelf) -> str:
    """The statements that let nobody else change its table or its indexes; all others go on.

    Where that is not had soon they fail: a rebuild may have to wait for whoever waits for it here.
    The time is longer than the second after which the server has autovacuum give way and looks for
    deadlocks, and shorter than two, so that it never ends the rebuild.
    """
    return (
        "SET LOCAL lock_timeout = '1500ms'; "  # noqa: S608 - no values, see above
        f"LOCK TABLE {shelf.table} IN SHARE UPDATE EXCLUSIVE MODE; "
        "SET LOCAL lock_timeout TO DEFAULT"
    )


def index_of_vectors(shelf: Shelf, dimension: int | None, settings: PgvectorSettings) -> str:
    """The statement that makes it; empty where vectors are too large for one.

    By the inner product, which is the cosine, as the vectors are of length 1. One by the cosine
    would leave out those of length 0.
    """
    kind = kind_of(dimension)
    if kind is None:
        return ""
    return (
        f"CREATE INDEX IF NOT EXISTS vectors_{shelf.code}_near ON {shelf.table} USING hnsw "
        f"((embedding::{kind}) {kind.partition('(')[0]}_ip_ops) "
        f"WITH (m = {settings.m}, ef_construction = {settings.ef_construction})"
    )
