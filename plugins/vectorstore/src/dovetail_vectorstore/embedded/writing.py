"""Putting items in: new ones, others in the place of those that are there, and what changes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dovetail_vectorstore.embedded.index import Index
from dovetail_vectorstore.embedded.rows import change, insert, owner_codes, remove

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from dovetail_vectorstore.backend import MadeWith
    from dovetail_vectorstore.embedded.shelf import Shelf
    from dovetail_vectorstore.items import Row


@dataclass(frozen=True, slots=True)
class Changes:
    """What a transaction did to a collection, for its index to follow."""

    shelf: Shelf
    made: MadeWith
    removed: Sequence[int] = ()
    numbers: Sequence[int] = ()
    """Of the rows that have vectors."""
    owners: Sequence[int] = ()
    rows: Sequence[Row] = field(default=())

    def apply(self) -> None:
        """Have the index follow. One that is not loaded will find it in the database."""
        shelf = self.shelf
        fresh = shelf.made.dimension is None and self.made.dimension is not None
        shelf.made = self.made
        if fresh and self.made.dimension is not None:
            shelf.index = Index(self.made.dimension)
        if shelf.index is None:
            return
        if self.removed:
            shelf.index.remove(np.array(sorted(self.removed), np.int64))
        if self.numbers:
            shelf.index.add(
                np.array(self.numbers, np.int64),
                np.array(self.owners, np.int32),
                np.stack([row.vector for row in self.rows if row.vector is not None]),
            )


def put(
    connection: sqlite3.Connection, shelf: Shelf, made: MadeWith, rows: Sequence[Row]
) -> Changes:
    """Keep `rows`; of those with one owner and id, the last."""
    if made != shelf.made:
        connection.execute(
            "UPDATE collections SET model = ?, dimension = ? WHERE code = ?",
            (made.model, made.dimension, shelf.code),
        )
    last = {row.item.key: row for row in rows}
    owners = owner_codes(connection, {owner for owner, _ in last}, make=True)
    there = _there(connection, shelf.code, owners, last)
    fresh, gone = [], []
    for key, row in last.items():
        number, digest = there.get(key, (0, ""))
        if number and row.vector is None and digest == row.item.content_hash:
            change(connection, shelf.code, number, row)
            continue
        if number:
            gone.append(number)
        fresh.append(row)
    if gone:
        remove(connection, shelf.code, gone)
    numbers = insert(connection, shelf.code, owners, fresh)
    embedded = [(n, row) for n, row in zip(numbers, fresh, strict=True) if row.vector is not None]
    return Changes(
        shelf,
        made,
        gone,
        [number for number, _ in embedded],
        [owners[row.item.owner] for _, row in embedded],
        [row for _, row in embedded],
    )


def _there(
    connection: sqlite3.Connection,
    collection: int,
    owners: Mapping[str, int],
    wanted: Mapping[tuple[str, str], Any],
) -> dict[tuple[str, str], tuple[int, str]]:
    """The numbers and hashes of those that are there."""
    there: dict[tuple[str, str], tuple[int, str]] = {}
    for name, code in owners.items():
        ids = json.dumps([item_id for owner, item_id in wanted if owner == name])
        found = connection.execute(
            "SELECT id, n, hash FROM items WHERE collection = ? AND owner = ? "
            "AND id IN (SELECT value FROM json_each(?))",
            (collection, code, ids),
        )
        there.update({(name, item_id): (n, digest.hex()) for item_id, n, digest in found})
    return there
