"""What is read: items by their vectors, by their words, and by what is known of them.

No statement holds a value but codes of ours: there is a mark for each.
"""
# ruff: noqa: S608

from __future__ import annotations

import json
import re
import sqlite3
from typing import TYPE_CHECKING, Any

from dovetail_vectorstore.embedded.failures import damaged_words
from dovetail_vectorstore.embedded.fields import choosing
from dovetail_vectorstore.embedded.rows import COLUMNS, JOINED, numbers_in, owner_codes, stored_of
from dovetail_vectorstore.filters import AllOf, passes
from dovetail_vectorstore.items import Hit, Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail_vectorstore.backend import Where
    from dovetail_vectorstore.embedded.index import Index
    from dovetail_vectorstore.embedded.shelf import Shelf
    from dovetail_vectorstore.items import Stored, Vector
    from dovetail_vectorstore.scope import Scope

MOST_WORDS = 64
"""How many words of a query are looked for."""
_WORD = re.compile(r"\w+")
EVERYWHERE = 5000
"""In how many items a word is that says little."""
_SPARE = 100
"""How many more candidates are looked at where a filter will refuse some."""


class Chosen:
    """The condition of a statement that only sees what `where` lets pass."""

    def __init__(
        self, connection: sqlite3.Connection, shelf: Shelf, where: Where, *, change: bool = False
    ) -> None:
        """With `change`, only what the scope may change."""
        # A plus keeps SQLite from an index by these: those that pass the filter are looked up.
        plus = "+" if where.filters is not None else ""
        self.parts = [f"{plus}i.collection = ?"]
        self.values: list[Any] = [shelf.code]
        owners = _changeable(where.scope) if change else where.scope.sees
        if owners is not None:
            codes = owner_codes(connection, owners)
            self.add(f"{plus}i.owner IN ({', '.join(map(str, codes.values()))})")
        if where.filters is not None:
            text, values = choosing(connection, shelf.code, where.filters)
            self.add(f"i.n IN ({text})", *values)

    def add(self, part: str, *values: Any) -> None:
        """One more condition."""
        self.parts.append(part)
        self.values += values

    @property
    def text(self) -> str:
        """All of it, to stand behind WHERE."""
        return " AND ".join(self.parts)


def _changeable(scope: Scope) -> frozenset[str] | None:
    if scope.owner is None:
        return None if scope.sees is None else frozenset()
    return frozenset((scope.owner,))


def near(
    connection: sqlite3.Connection,
    shelf: Shelf,
    index: Index,
    vector: Vector,
    where: Where,
    limit: int,
) -> list[Hit]:
    """The nearest that pass."""
    owners: set[int] | None = None
    if where.scope.sees is not None:
        owners = set(owner_codes(connection, where.scope.sees).values())
    # Usually enough of the nearest pass; if not, those that do are found first. Without a filter
    # these are all that are there: the index may be a moment before the database, or behind it.
    depth = limit if where.filters is None else 4 * limit + _SPARE
    candidates = index.search(vector, depth, owners)
    hits = [h for h in _hits(connection, candidates, where) if passes(h.item, where.filters)]
    if len(hits) >= limit or len(candidates) < depth:
        return hits[:limit]
    import numpy as np

    text, values = choosing(connection, shelf.code, where.filters or AllOf(()))
    numbers = np.array([row[0] for row in connection.execute(text, values)], np.int64)
    return _hits(connection, index.search(vector, limit, owners, numbers), where)


def matching(
    connection: sqlite3.Connection, shelf: Shelf, text: str, where: Where, limit: int
) -> list[Hit]:
    """Those that hold its words, and pass.

    Raises:
        StoreDamaged: the index of words is.
    """
    try:
        return _matching(connection, shelf, text, where, limit)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CORRUPT:
            raise damaged_words(shelf.file.parent, shelf.name) from error
        raise


def _matching(
    connection: sqlite3.Connection, shelf: Shelf, text: str, where: Where, limit: int
) -> list[Hit]:
    query = _query(connection, text)
    if not query:
        return []
    chosen = Chosen(connection, shelf, where)
    rows = connection.execute(
        "SELECT w.rowid, -w.rank FROM words AS w JOIN items AS i ON i.n = w.rowid "
        f"WHERE w.words MATCH ? AND {chosen.text} ORDER BY w.rank LIMIT ?",
        (query, *chosen.values, limit),
    ).fetchall()
    return _hits(connection, rows, where)


def by_ids(
    connection: sqlite3.Connection, shelf: Shelf, ids: Sequence[str], where: Where
) -> list[Stored]:
    """The items of these ids that pass."""
    chosen = Chosen(connection, shelf, where)
    chosen.add("i.id IN (SELECT value FROM json_each(?))", json.dumps(list(ids)))
    if where.scope.sees is None:
        # No index begins with collection and id: its owners between.
        chosen.add("i.owner IN (SELECT code FROM owners)")
    return _select(connection, chosen, "")


def page(
    connection: sqlite3.Connection,
    shelf: Shelf,
    where: Where,
    after: tuple[str, str] | None,
    limit: int,
    pending: bool,  # noqa: FBT001 - as above
) -> list[Stored]:
    """The next in a fixed order."""
    chosen = Chosen(connection, shelf, where)
    if pending:
        chosen.add("NOT i.embedded")
    if after is not None:
        owner, item_id = after
        code = owner_codes(connection, [owner]).get(owner, 0)
        chosen.add("(i.owner, i.id) > (?, ?)", code, item_id)
    return _select(connection, chosen, f"ORDER BY i.owner, i.id LIMIT {int(limit)}")


def sources(connection: sqlite3.Connection, shelf: Shelf, where: Where) -> list[Source]:
    """Where those that pass are from."""
    chosen = Chosen(connection, shelf, where)
    rows = connection.execute(
        f"SELECT i.source, count(*) FROM items AS i WHERE {chosen.text} "
        "GROUP BY i.source ORDER BY i.source",
        chosen.values,
    )
    return [Source(source, count) for source, count in rows]


def _select(connection: sqlite3.Connection, chosen: Chosen, rest: str) -> list[Stored]:
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM {JOINED} WHERE {chosen.text} {rest}",
        chosen.values,
    )
    return [stored_of(row) for row in rows]


def _hits(
    connection: sqlite3.Connection, found: Sequence[tuple[int, float]], where: Where
) -> list[Hit]:
    """The items of these numbers with their scores; one that has just been removed is left out.

    So is one that the scope does not see, whatever the index takes for its owner.
    """
    rows = connection.execute(
        f"SELECT i.n, {COLUMNS} FROM {JOINED} WHERE i.n IN (SELECT value FROM json_each(?))",
        (numbers_in(number for number, _ in found),),
    )
    items = {number: stored_of(row) for number, *row in rows}
    return [
        Hit(items[number], score)
        for number, score in found
        if number in items and where.scope.may_see(items[number].owner)
    ]


def _query(connection: sqlite3.Connection, text: str) -> str:
    """Its words, any of which is enough; quoted, so that none is an operator.

    Words that are everywhere are left out if there are others: they say little, and to weigh each
    item that has one takes long.
    """
    words = [f'"{w}"' for w in dict.fromkeys(_WORD.findall(text.lower()))][:MOST_WORDS]
    if len(words) > 1:
        words = [word for word in words if not _everywhere(connection, word)] or words
    return " OR ".join(words)


def _everywhere(connection: sqlite3.Connection, word: str) -> bool:
    (count,) = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT ?)", (word, EVERYWHERE)
    ).fetchone()
    return bool(count == EVERYWHERE)
