"""The metadata of items as `fields` holds it, and filters as conditions on that.

`fields` has each path, as JSON, with the list of its values: so that containment, which an index
finds, is what a filter means by equal. What is equal to nothing, a mapping or a list in a list, is
there as `{}`.

No condition holds a value: there is a mark for each.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from dovetail_vectorstore.filters import SOURCE, AllOf, AnyOf, Compare, Equal, Filter, Not
from dovetail_vectorstore.preparing import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dovetail_vectorstore.items import Stored

    Mark: TypeAlias = Callable[[object], str]

_SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_FIRST_AFTER_SURROGATES = "\ue000"


def fields_of(item: Stored) -> str:
    """What filters look at, as JSON."""
    fields: dict[str, list[Any]] = {_key(SOURCE): [item.source]}
    waiting: list[tuple[tuple[str, ...], Mapping[str, Any]]] = [((), item.metadata)]
    while waiting:
        path, known = waiting.pop()
        for name, value in known.items():
            here = (*path, name)
            if isinstance(value, dict):
                waiting.append((here, value))
            values = value if isinstance(value, list) else [value]
            terms = [_term(each) for each in values if each is not None]
            if terms:
                fields[_key(here)] = terms
    return json.dumps(fields)


def condition(wanted: Filter, mark: Mark) -> str:
    """What is true of the items that pass, and of no others; `mark` gives a value its mark."""
    match wanted:
        case AllOf(parts):
            return _joined(" AND ", [condition(part, mark) for part in parts]) or "true"
        case AnyOf(parts):
            return _joined(" OR ", [condition(part, mark) for part in parts]) or "false"
        case Not(part):
            return f"NOT {condition(part, mark)}"
        case Equal(path, values):
            return _equal(_key(path), values, mark)
        case Compare(path, how, value):
            return _compare(_key(path), how, value, mark)


def _equal(key: str, values: tuple[Any, ...], mark: Mark) -> str:
    parts = []
    # What no text that is kept can hold is equal to none.
    terms = [v for v in values if v is not None and not (isinstance(v, str) and clean(v) != v)]
    if terms:
        wanted = [json.dumps({key: [_term(value)]}) for value in terms]
        parts.append(f"fields @> ANY({mark(wanted)}::jsonb[])")
    if None in values:
        parts.append(f"NOT jsonb_exists(fields, {mark(key)})")
    return _joined(" OR ", parts) or "false"


def _compare(key: str, how: str, value: str | float, mark: Mark) -> str:
    if isinstance(value, str):
        how, value = _kept(how, value)
    known = mark(json.dumps({"value": _term(value)}))
    # Of two kinds neither is the greater: then this is unknown, and not true.
    path = f"'$[*] ? (@ {_SIGNS[how]} $value)'"
    return f"coalesce(jsonb_path_exists(fields -> {mark(key)}, {path}, {known}::jsonb), false)"


def _kept(how: str, text: str) -> tuple[str, str]:
    """A comparison that is the same for every text that can be kept, with one that can be."""
    cut = clean(text)
    place = next(
        (n for n, (one, other) in enumerate(zip(text, cut, strict=True)) if one != other), -1
    )
    if place < 0:
        return how, text
    up = how in ("gt", "gte")
    if text[place] == "\0":  # which is before every character
        return ("gt" if up else "lte"), text[:place]
    return ("gte" if up else "lt"), text[:place] + _FIRST_AFTER_SURROGATES


def _joined(word: str, parts: list[str]) -> str:
    return f"({word.join(parts)})" if parts else ""


def _key(path: tuple[str, ...]) -> str:
    return json.dumps(path)


def _term(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)  # to the last digit, as Python compares them
    return {} if isinstance(value, (dict, list)) else value
