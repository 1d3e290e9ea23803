"""What went wrong between the store and the server, as the store's callers know it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail_vectorstore.errors import StoreDamaged, StoreFull, VectorStoreError

if TYPE_CHECKING:
    from dovetail_postgres.errors import DatabaseError

RACED = {
    "42P01",  # the table of a collection that was just dropped
    "42704",  # as above, its index
    "40P01",  # of two that make its indexes anew one is in the other's way
    "22000",  # a vector of another size than the collection had a moment ago
}
"""What an answer is when a collection was changed during a call."""
BUSY = {"55P03"}
"""What an answer is while somebody else changes the collection's table or makes its indexes."""
_DAMAGED = {"XX001", "XX002"}
_MISSING = {
    "0A000": "the server has no extension `vector`: install pgvector, 0.8 or newer, on its machine "
    "(https://github.com/pgvector/pgvector; the package `postgresql-17-pgvector` or its like)",
    "42501": "if the extension `vector` is not in this database yet, have an administrator say "
    "`CREATE EXTENSION vector` there, or grant the user CREATE on the database",
}
"""What stands in the way of the extension."""
_MISSING["58P01"] = _MISSING["0A000"]  # what a server says that was broken off while installing


def sqlstate(error: DatabaseError) -> str:
    """The code that the server gave; empty if it gave none."""
    return getattr(error.__cause__, "sqlstate", None) or ""


def failure_of(error: DatabaseError, what: str) -> VectorStoreError:
    """What to raise for `error`, which came while `what` was done."""
    if sqlstate(error) == "53100":
        return StoreFull(f"{what}: {error}, and try the same again; what was kept is there")
    if sqlstate(error) in _DAMAGED:
        return StoreDamaged(
            f"{what}: {error}; `dovetail knowledge reindex` with the collection's name makes its "
            "indexes anew; if that fails too, it is the table: restore a backup"
        )
    return VectorStoreError(f"{what}: {error}")


def failure_to_open(error: DatabaseError) -> VectorStoreError:
    """What to raise for an error that came while the tables were made."""
    hint = _MISSING.get(sqlstate(error), "")
    return VectorStoreError(f"vectors cannot be kept: {error}" + (f"; {hint}" if hint else ""))
