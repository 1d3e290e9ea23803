"""The metadata of items as terms, and filters as statements that choose items by them.

No statement holds a value: texts are put together of what is written here, with a mark for each.
"""
# ruff: noqa: S608

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from dovetail_vectorstore.filters import SOURCE, AllOf, AnyOf, Compare, Equal, Filter, Not

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping

Term: TypeAlias = "str | int | float | bytes"
Statement: TypeAlias = "tuple[str, list[Any]]"

# Of the types that SQLite has, so that true is not 1, and what cannot be compared is there.
_TRUE, _FALSE, _THERE = b"true", b"false", b"there"
_SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_LARGEST = 2**63


def terms_of(metadata: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, Term]]:
    """Each field's path, as the database has it, with each of its values."""
    for name, value in metadata.items():
        here = (*path, name)
        if isinstance(value, dict):
            yield from terms_of(value, here)
        for each in value if isinstance(value, list) else (value,):
            if each is not None:
                yield json.dumps(here), _term(each)


def field_code(connection: sqlite3.Connection, collection: int, path: str) -> int | None:
    """The code of a field; None if no item ever had it."""
    row = connection.execute(
        "SELECT code FROM fields WHERE collection = ? AND path = ?", (collection, path)
    ).fetchone()
    return None if row is None else int(row[0])


def made_field_code(connection: sqlite3.Connection, collection: int, path: str) -> int:
    """The code of a field, made if it is new."""
    found = field_code(connection, collection, path)
    if found is not None:
        return found
    statement = "INSERT INTO fields (collection, path) VALUES (?, ?)"
    made = connection.execute(statement, (collection, path)).lastrowid
    assert made is not None  # noqa: S101 - one row was inserted
    return made


def choosing(connection: sqlite3.Connection, collection: int, condition: Filter) -> Statement:
    """A statement that gives the numbers of the items that pass, and its values."""
    match condition:
        case AllOf(parts) | AnyOf(parts):
            word = " INTERSECT " if isinstance(condition, AllOf) else " UNION "
            made = [choosing(connection, collection, part) for part in parts]
            texts = word.join(f"SELECT n FROM ({text})" for text, _ in made)
            return texts or _ALL, [v for _, vs in made for v in vs] or [collection]
        case Not(part):
            text, values = choosing(connection, collection, part)
            return f"{_ALL} EXCEPT SELECT n FROM ({text})", [collection, *values]
        case Equal(path, values):
            return _equal(connection, collection, path, values)
        case Compare(path, how, value):
            kinds = "('text')" if isinstance(value, str) else "('integer', 'real')"
            if path == SOURCE:
                column, start, first = "source", _ALL + " AND", collection
            else:
                column, start = "value", "SELECT n FROM terms WHERE field = ? AND"
                first = field_code(connection, collection, json.dumps(path)) or 0
            text = f"{start} {column} {_SIGNS[how]} ? AND typeof({column}) IN {kinds}"
            return text, [first, _term(value)]


_ALL = "SELECT n FROM items WHERE collection = ?"


def _equal(
    connection: sqlite3.Connection, collection: int, path: tuple[str, ...], values: tuple[Any, ...]
) -> Statement:
    if path == SOURCE:  # always a text; SQLite would take a number for one
        values = tuple(value for value in values if isinstance(value, str))
    terms = [_term(value) for value in values if value is not None]
    marks = ", ".join("?" * len(terms))
    if path == SOURCE:
        return f"{_ALL} AND source IN ({marks})", [collection, *terms]
    code = field_code(connection, collection, json.dumps(path)) or 0
    text = f"SELECT n FROM terms WHERE field = ? AND value IN ({marks})"
    chosen = [code, *terms]
    if None in values:
        absent = f"SELECT n FROM ({_ALL} EXCEPT SELECT n FROM terms WHERE field = ?)"
        return f"{text} UNION {absent}", [*chosen, collection, code]
    return text, chosen


def _term(value: Any) -> Term:
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        return float(value)
    return value if isinstance(value, (str, int, float)) else _THERE
