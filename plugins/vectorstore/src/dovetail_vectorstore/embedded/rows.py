"""Items in and out of the tables. Everything here runs in a transaction of the caller's.

No statement holds a value: texts are put together of what is written here, with a mark for each.
"""
# ruff: noqa: S608

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from dovetail_vectorstore.embedded.fields import made_field_code, terms_of
from dovetail_vectorstore.items import Stored

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from dovetail_vectorstore.items import Row

COLUMNS = "i.id, i.text, i.source, i.metadata, o.name, i.hash, i.added"
"""What `stored_of` reads of `JOINED`."""
JOINED = "items AS i CROSS JOIN owners AS o ON o.code = i.owner"
# "Cross": the items first, so that they come in the order of their index.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def stored_of(row: Sequence[Any]) -> Stored:
    """An item of what `COLUMNS` gave."""
    item_id, text, source, metadata, owner, digest, added = row
    moment = _EPOCH + added * _MICROSECOND
    known = json.loads(metadata) if metadata != "{}" else {}
    return Stored(item_id, text, source, known, owner, digest.hex(), moment)


def numbers_in(numbers: Iterable[int]) -> str:
    """Numbers as a value for `IN (SELECT value FROM json_each(?))`."""
    return f"[{','.join(map(str, numbers))}]"


def owner_codes(
    connection: sqlite3.Connection, names: Iterable[str], *, make: bool = False
) -> dict[str, int]:
    """The codes of those owners that have one, or, if `make`, of them all."""
    wanted = list(names)
    if make:
        connection.executemany(
            "INSERT OR IGNORE INTO owners (name) VALUES (?)", [(name,) for name in wanted]
        )
    found = connection.execute(
        "SELECT name, code FROM owners WHERE name IN (SELECT value FROM json_each(?))",
        (json.dumps(wanted),),
    )
    return dict(found.fetchall())


def insert(
    connection: sqlite3.Connection, collection: int, owners: Mapping[str, int], rows: Sequence[Row]
) -> list[int]:
    """Put in items that are not there; their numbers, which are higher than all before."""
    (last,) = connection.execute(
        "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'items'"
    ).fetchone()
    numbers = list(range(last + 1, last + 1 + len(rows)))
    connection.executemany(
        "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                number,
                collection,
                owners[row.item.owner],
                row.item.id,
                int(row.vector is not None),
                (row.item.added - _EPOCH) // _MICROSECOND,
                bytes.fromhex(row.item.content_hash),
                row.item.source,
                _json(row.item.metadata),
                row.item.text,
            )
            for number, row in zip(numbers, rows, strict=True)
        ],
    )
    pairs = list(zip(numbers, rows, strict=True))
    connection.executemany(
        "INSERT INTO words (rowid, text) VALUES (?, ?)", [(n, row.item.text) for n, row in pairs]
    )
    connection.executemany(
        "INSERT INTO vectors VALUES (?, ?)",
        [(n, row.vector.tobytes()) for n, row in pairs if row.vector is not None],
    )
    add_terms(connection, collection, [(n, row.item.metadata) for n, row in pairs])
    return numbers


def change(connection: sqlite3.Connection, collection: int, number: int, row: Row) -> None:
    """Give an item another source, metadata and time; its text and vector stay."""
    remove_terms(connection, collection, [number])
    connection.execute(
        "UPDATE items SET source = ?, metadata = ?, added = ? WHERE n = ?",
        (
            row.item.source,
            _json(row.item.metadata),
            (row.item.added - _EPOCH) // _MICROSECOND,
            number,
        ),
    )
    add_terms(connection, collection, [(number, row.item.metadata)])


def remove(connection: sqlite3.Connection, collection: int, numbers: Sequence[int]) -> None:
    """Take items out of every table."""
    chosen = numbers_in(numbers)
    remove_terms(connection, collection, numbers)
    # The index of words has to be told the text that it forgets.
    connection.execute(
        "INSERT INTO words (words, rowid, text) "
        f"SELECT 'delete', n, text FROM items WHERE {_CHOSEN}",
        (chosen,),
    )
    connection.execute(f"DELETE FROM vectors WHERE {_CHOSEN}", (chosen,))
    connection.execute(f"DELETE FROM items WHERE {_CHOSEN}", (chosen,))


def add_terms(
    connection: sqlite3.Connection, collection: int, found: Iterable[tuple[int, Mapping[str, Any]]]
) -> None:
    """Have filters find these items by their metadata."""
    connection.executemany(
        "INSERT OR IGNORE INTO terms VALUES (?, ?, ?)", _terms(connection, collection, found)
    )


def remove_terms(connection: sqlite3.Connection, collection: int, numbers: Sequence[int]) -> None:
    """Have filters find these items no more."""
    kept = connection.execute(
        f"SELECT n, metadata FROM items WHERE {_CHOSEN}",
        (numbers_in(numbers),),
    ).fetchall()
    known = [(n, json.loads(metadata)) for n, metadata in kept if metadata != "{}"]
    connection.executemany(
        "DELETE FROM terms WHERE field = ? AND value = ? AND n = ?",
        _terms(connection, collection, known),
    )


_CHOSEN = "n IN (SELECT value FROM json_each(?))"


def _terms(
    connection: sqlite3.Connection, collection: int, found: Iterable[tuple[int, Mapping[str, Any]]]
) -> list[tuple[int, Any, int]]:
    codes: dict[str, int] = {}
    made = []
    for number, metadata in found:
        for path, term in terms_of(metadata) if metadata else ():
            if path not in codes:
                codes[path] = made_field_code(connection, collection, path)
            made.append((codes[path], term, number))
    return made


def _json(metadata: Mapping[str, Any]) -> str:
    return json.dumps(dict(metadata)) if metadata else "{}"
