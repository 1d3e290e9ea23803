"""What is read: items by their keys, vectors and words, of those that the scope sees.

No statement holds a value but numbers of ours: there is a mark for each.
"""
# ruff: noqa: S608

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from dovetail_postgres.vectors.fields import condition
from dovetail_postgres.vectors.tables import kind_of
from dovetail_postgres.vectors.words import query_of
from dovetail_vectorstore.items import Hit, Source, Stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail_postgres.database import Connection
    from dovetail_postgres.vectors.tables import Shelf
    from dovetail_vectorstore.backend import Where
    from dovetail_vectorstore.items import Vector

COLUMNS = "id, text, source, metadata, owner, hash, added"
"""What `stored_of` reads."""
DEEPER = 4
"""How many times as many are looked for in the index: where few pass the filter, the first that it
comes to are not the nearest."""
EVERYWHERE = 2_000
"""In how many items a word is that says little; so many are counted."""


class Chosen:
    """The condition of a statement that only sees what `where` lets pass, and its values."""

    def __init__(self, where: Where, *, change: bool = False) -> None:
        """With `change`, only what the scope may change."""
        self.values: list[object] = []
        self._parts: list[str] = []
        sees, owner = where.scope.sees, where.scope.owner
        if sees is not None:
            self.add(f"owner = ANY({self.mark(sorted(sees))}::text[])")
        if change and owner is not None:
            self.add(f"owner = {self.mark(owner)}")
        elif change and sees is not None:
            self.add("false")
        if where.filters is not None:
            self.add(condition(where.filters, self.mark))

    def add(self, part: str) -> None:
        """One more condition."""
        self._parts.append(part)

    def mark(self, value: object) -> str:
        """The mark that stands for a value."""
        self.values.append(value)
        return f"${len(self.values)}"

    @property
    def text(self) -> str:
        """All of it, to stand behind WHERE."""
        return " AND ".join(self._parts) or "true"


async def by_ids(
    connection: Connection, shelf: Shelf, ids: Sequence[str], where: Where
) -> list[Stored]:
    """The items of these ids that pass."""
    chosen = Chosen(where)
    chosen.add(f"id = ANY({chosen.mark(list(ids))}::text[])")
    return await _select(connection, shelf, chosen, "")


async def page(
    connection: Connection,
    shelf: Shelf,
    where: Where,
    after: tuple[str, str] | None,
    limit: int,
    pending: bool,  # noqa: FBT001 - handed over by the one who names it
) -> list[Stored]:
    """The next by owner and id."""
    chosen = Chosen(where)
    if pending:
        chosen.add("embedding IS NULL")
    if after is not None:
        chosen.add(f"(owner, id) > ({chosen.mark(after[0])}, {chosen.mark(after[1])})")
    rest = f"ORDER BY owner, id LIMIT {chosen.mark(limit)}"
    return await _select(connection, shelf, chosen, rest)


async def sources(connection: Connection, shelf: Shelf, where: Where) -> list[Source]:
    """Where those that pass are from."""
    chosen = Chosen(where)
    rows = await connection.fetch(
        f"SELECT source, count(*) FROM {shelf.table} WHERE {chosen.text} "
        "GROUP BY source ORDER BY source",
        *chosen.values,
    )
    return [Source(source, count) for source, count in rows]


async def near(
    connection: Connection, shelf: Shelf, vector: Vector, where: Where, limit: int
) -> list[Hit]:
    """The nearest that pass."""
    chosen = Chosen(where)
    asked, most = f"{chosen.mark(vector.tolist())}::real[]", chosen.mark(limit)
    statement = (
        f"SELECT {COLUMNS}, score FROM (SELECT *, -(embedding <#> {asked}::vector) AS score "
        f"FROM {shelf.table} WHERE embedding IS NOT NULL AND {chosen.text} "
        f"ORDER BY {{}} LIMIT {{}}) AS found ORDER BY score DESC LIMIT {most}"
    )
    rows: Sequence[Any] = ()
    kind = kind_of(shelf.made.dimension)
    if kind is not None:
        indexed = f"embedding::{kind} <#> {asked}::{kind}"
        deeper = f"{DEEPER} * {most}::bigint"
        rows = await connection.fetch(statement.format(indexed, deeper), *chosen.values)
    if len(rows) < limit:
        # A scan of the index ends after so many that do not pass. This one uses none.
        exact = f"embedding <#> {asked}::vector"
        rows = await connection.fetch(statement.format(exact, most), *chosen.values)
    return [_hit(row) for row in rows]


async def matching(
    connection: Connection, shelf: Shelf, text: str, where: Where, limit: int
) -> list[Hit]:
    """Those that hold its words, and pass: the rarer the words, the better."""
    weights = await _weights(connection, shelf, query_of(text))
    if not weights:
        return []
    chosen = Chosen(where)
    words, weighed = chosen.mark(list(weights)), chosen.mark(list(weights.values()))
    rows = await connection.fetch(
        "WITH asked AS MATERIALIZED (SELECT word::tsquery, weight "
        f"FROM unnest({words}::text[], {weighed}::float8[]) AS given (word, weight)) "
        f"SELECT {COLUMNS}, (SELECT sum(weight * ts_rank(words, word, 1)) FROM asked) AS score "
        f"FROM {shelf.table} WHERE words @@ {chosen.mark(' | '.join(weights))}::text::tsquery "
        f"AND {chosen.text} ORDER BY score DESC, owner, id LIMIT {chosen.mark(limit)}",
        *chosen.values,
    )
    return [_hit(row) for row in rows]


async def _weights(connection: Connection, shelf: Shelf, words: list[str]) -> dict[str, float]:
    """How much each word says: its inverse document frequency, as BM25 has it.

    Words that are everywhere are left out if there are others: they say little, and to weigh each
    item that has one takes long.
    """
    if not words:
        return {}
    rows = await connection.fetch(
        f"SELECT word, (SELECT count(*) FROM (SELECT FROM {shelf.table} "
        "WHERE words @@ word::tsquery LIMIT $2) AS counted) FROM unnest($1::text[]) AS word "
        f"UNION ALL SELECT NULL, count(*) FROM (SELECT FROM {shelf.table} LIMIT $2) AS counted",
        words,
        EVERYWHERE,
    )
    spread = {word: count for word, count in rows if count}
    items = spread.pop(None, 0)
    telling = {word: count for word, count in spread.items() if count < EVERYWHERE} or spread
    return {
        word: math.log(1 + (max(items, count) - count + 0.5) / (count + 0.5))
        for word, count in telling.items()
    }


async def _select(connection: Connection, shelf: Shelf, chosen: Chosen, rest: str) -> list[Stored]:
    rows = await connection.fetch(
        f"SELECT {COLUMNS} FROM {shelf.table} WHERE {chosen.text} {rest}", *chosen.values
    )
    return [_stored(row) for row in rows]


def _hit(row: Any) -> Hit:
    return Hit(_stored(row), row[7])


def _stored(row: Any) -> Stored:
    item_id, text, source, metadata, owner, digest, added = tuple(row)[:7]
    known = json.loads(metadata) if metadata != "{}" else {}
    return Stored(item_id, text, source, known, owner, digest.hex(), added)
