"""What is written. Everything here runs in a transaction of the caller's.

No statement holds a value but numbers of ours: there is a mark for each.
"""
# ruff: noqa: S608

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dovetail_postgres.vectors.fields import fields_of
from dovetail_postgres.vectors.queries import Chosen
from dovetail_postgres.vectors.tables import LARGEST
from dovetail_postgres.vectors.words import vector_of
from dovetail_vectorstore.errors import ItemRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail_postgres.database import Connection
    from dovetail_postgres.vectors.tables import Shelf
    from dovetail_vectorstore.backend import Where
    from dovetail_vectorstore.items import Row

LONGEST_KEY = 2_600
"""Bytes of an owner and an id together: what an entry of an index can hold."""


async def put(connection: Connection, shelf: Shelf, rows: Sequence[Row]) -> None:
    """Keep `rows`; of those with one owner and id the last stays.

    In the order of their keys, so that of two that put the same one waits for the other.
    """
    await connection.executemany(
        f"INSERT INTO {shelf.table} AS kept (owner, id, hash, added, source, metadata, fields, "
        "text, words, embedding) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::tsvector, "
        "$10::real[]::vector) ON CONFLICT (owner, id) DO UPDATE SET hash = excluded.hash, "
        "added = excluded.added, source = excluded.source, metadata = excluded.metadata, "
        "fields = excluded.fields, text = excluded.text, words = excluded.words, embedding = CASE "
        "WHEN excluded.embedding IS NULL AND excluded.hash = kept.hash THEN kept.embedding "
        "ELSE excluded.embedding END",
        [_values(row) for row in sorted(rows, key=lambda row: row.item.key)],
    )


async def delete(
    connection: Connection, shelf: Shelf, where: Where, ids: Sequence[str] | None
) -> int:
    """Remove those that pass and that the scope may change; how many."""
    chosen = Chosen(where, change=True)
    if ids is not None:
        chosen.add(f"id = ANY({chosen.mark(list(ids))}::text[])")
    tag = await connection.execute(f"DELETE FROM {shelf.table} WHERE {chosen.text}", *chosen.values)
    return int(tag.rpartition(" ")[2])


async def clear(connection: Connection, shelf: Shelf) -> None:
    """Forget the vectors. The table is written anew, so that nothing of them is left."""
    await connection.execute(f"DROP INDEX IF EXISTS {shelf.index}")
    await connection.execute(
        f"ALTER TABLE {shelf.table} ALTER COLUMN embedding TYPE vector USING NULL"
    )


def check(rows: Sequence[Row]) -> None:
    """See that the server can hold them.

    Raises:
        ItemRefused: one is too large.
    """
    for row in rows:
        size = sum(len(part.encode()) for part in row.item.key)
        if size > LONGEST_KEY:
            raise ItemRefused(
                f"the id `{row.item.id:.40}…` and its owner's have {size} bytes, of {LONGEST_KEY} "
                "that PostgreSQL can hold in an index: give it a shorter id"
            )
        if row.vector is not None and len(row.vector) > LARGEST:
            raise ItemRefused(
                f"vectors of {len(row.vector)} numbers are too large for pgvector, which keeps "
                f"{LARGEST} at most: set `dimensions` of [plugins.vectorstore], or choose another "
                "embedding model"
            )


def _values(row: Row) -> tuple[object, ...]:
    item = row.item
    return (
        item.owner,
        item.id,
        bytes.fromhex(item.content_hash),
        item.added,
        item.source,
        json.dumps(dict(item.metadata)) if item.metadata else "{}",
        fields_of(item),
        item.text,
        vector_of(item.text),
        None if row.vector is None else row.vector.tolist(),
    )
