"""Filters on metadata: what may be written, and what it means.

A filter is a mapping; an item passes if all of it holds::

    {"lang": "en"}                               equal
    {"page": {"$gte": 3, "$lt": 9}}              $gt $gte $lt $lte: numbers, or texts
    {"kind": {"$in": ["md", "html"]}}            $in $nin $ne
    {"draft": {"$exists": False}}                there, and not null
    {"$or": [{"lang": "en"}, {"lang": "de"}]}    $or $and: lists; $not: one filter
    {"author.name": "Ada"}                       a dot goes into a mapping
    {"source": "docs/plugins.md"}                the item's own source

A list in the metadata matches if one of its elements does. `$ne` and `$nin` are the contrary of
equal and `$in`, so an item without the field passes them. None equals null and what is not there.
1 equals 1.0, and neither equals true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from dovetail_vectorstore.errors import FilterError, ScopeError

if TYPE_CHECKING:
    from dovetail_vectorstore.items import Stored

SOURCE = ("source",)
RESERVED = frozenset(("owner", "scope"))
"""What no filter may ask for: a scope decides it."""
DEEPEST = 8
MOST = 200
"""How many conditions a filter may have in all, and values a list in it."""

Scalar: TypeAlias = "str | int | float | bool | None"
_RANGES = {"$gt": "gt", "$gte": "gte", "$lt": "lt", "$lte": "lte"}


@dataclass(frozen=True, slots=True)
class Equal:
    """The field is one of these values."""

    path: tuple[str, ...]
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    """The field is greater or less than the value: `gt`, `gte`, `lt` or `lte`."""

    path: tuple[str, ...]
    how: str
    value: str | int | float


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of these hold."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of these holds."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """This does not hold."""

    part: Filter


Filter: TypeAlias = "Equal | Compare | AllOf | AnyOf | Not"


def parse_filters(filters: Mapping[str, Any] | None) -> Filter | None:
    """What `filters` mean; None if they let everything pass.

    Raises:
        FilterError: they cannot be understood.
        ScopeError: they ask for what only a scope decides.
    """
    if not filters:
        if filters is None or isinstance(filters, Mapping):
            return None
        raise FilterError(_not_a_mapping(filters))
    parsed = _mapping(filters, 0)
    if _count(parsed) > MOST:
        raise FilterError(f"a filter may have {MOST} conditions at most")
    return parsed


def passes(item: Stored, condition: Filter | None) -> bool:
    """Whether `item` passes; how every backend has to see it."""
    match condition:
        case None:
            return True
        case AllOf(parts):
            return all(passes(item, part) for part in parts)
        case AnyOf(parts):
            return any(passes(item, part) for part in parts)
        case Not(part):
            return not passes(item, part)
        case Equal(path, values):
            found = _values(item, path)
            return any(
                (not [v for v in found if v is not None]) if value is None else _among(value, found)
                for value in values
            )
        case Compare(path, how, value):
            return any(_compare(found, how, value) for found in _values(item, path))


def _mapping(filters: Any, depth: int) -> Filter:
    if not isinstance(filters, Mapping):
        raise FilterError(_not_a_mapping(filters))
    if depth > DEEPEST:
        raise FilterError(f"a filter may be nested {DEEPEST} deep at most")
    parts = tuple(_entry(key, value, depth) for key, value in filters.items())
    return parts[0] if len(parts) == 1 else AllOf(parts)


def _entry(key: object, value: Any, depth: int) -> Filter:
    if not isinstance(key, str) or not key:
        raise FilterError(f"a filter names fields by texts, not by {key!r:.80}")
    if key in ("$and", "$or"):
        if not isinstance(value, (list, tuple)) or not value:
            raise FilterError(f"`{key}` takes a list of filters, not {value!r:.80}")
        parts = tuple(_mapping(part, depth + 1) for part in value)
        return AllOf(parts) if key == "$and" else AnyOf(parts)
    if key == "$not":
        return Not(_mapping(value, depth + 1))
    if key.startswith("$"):
        raise FilterError(f"there is no `{key}`; there are `$and`, `$or` and `$not`")
    if key in RESERVED:
        raise ScopeError(
            f"`{key}` is no field to filter by: whose items are found is said by `scope`, which "
            "no filter widens"
        )
    path = tuple(key.split("."))
    if isinstance(value, Mapping):
        parts = tuple(_operator(path, word, operand) for word, operand in value.items())
        if not parts:
            raise FilterError(f'`{key}` has no condition; write {{"{key}": {{"$gte": 3}}}}')
        return parts[0] if len(parts) == 1 else AllOf(parts)
    return Equal(path, (_scalar(key, value),))


def _operator(path: tuple[str, ...], word: Any, operand: Any) -> Filter:
    name = ".".join(path)
    if word in ("$in", "$nin"):
        if isinstance(operand, (str, bytes, Mapping)) or not isinstance(operand, Sequence):
            raise FilterError(f"`{word}` of `{name}` takes a list, not {operand!r:.80}")
        if len(operand) > MOST:
            raise FilterError(f"`{word}` of `{name}` may have {MOST} values at most")
        found: Filter = Equal(path, tuple(_scalar(name, value) for value in operand))
        return found if word == "$in" else Not(found)
    if word in ("$eq", "$ne"):
        found = Equal(path, (_scalar(name, operand),))
        return found if word == "$eq" else Not(found)
    if word == "$exists":
        if not isinstance(operand, bool):
            raise FilterError(f"`$exists` of `{name}` takes true or false, not {operand!r:.80}")
        absent = Equal(path, (None,))
        return Not(absent) if operand else absent
    if word in _RANGES:
        if isinstance(operand, bool) or not isinstance(operand, (str, int, float)):
            raise FilterError(f"`{word}` of `{name}` takes a number or a text: {operand!r:.80}")
        _scalar(name, operand)
        return Compare(path, _RANGES[word], operand)
    known = ", ".join(("$eq", "$ne", "$in", "$nin", "$exists", *_RANGES))
    raise FilterError(f"`{name}` has a condition {word!r:.80}; there are {known}")


def _scalar(name: str, value: Any) -> Scalar:
    if value is None or isinstance(value, (bool, int)):
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise FilterError(f"the number for `{name}` is out of range")
        return value
    if isinstance(value, float) and value - value == 0:  # neither endless nor no number
        return value
    if isinstance(value, str):
        return value
    raise FilterError(
        f"`{name}` is compared with {value!r:.80}: that is no JSON value of one piece"
    )


def _count(condition: Filter) -> int:
    match condition:
        case AllOf(parts) | AnyOf(parts):
            return sum(map(_count, parts))
        case Not(part):
            return _count(part)
        case _:
            return 1


def _values(item: Stored, path: tuple[str, ...]) -> list[Any]:
    if path == SOURCE:
        return [item.source]
    value: Any = item.metadata
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return []
        value = value[name]
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _among(value: Any, found: list[Any]) -> bool:
    return any(_same_kind(value, other) and value == other for other in found)


def _compare(found: Any, how: str, value: Any) -> bool:
    if not _same_kind(found, value) or isinstance(found, bool):
        return False
    if how in ("gt", "gte"):
        return bool(found > value or (how == "gte" and found == value))
    return bool(found < value or (how == "lte" and found == value))


def _same_kind(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return isinstance(one, bool) and isinstance(other, bool)
    if isinstance(one, str):
        return isinstance(other, str)
    return isinstance(one, (int, float)) and isinstance(other, (int, float))


def _not_a_mapping(filters: object) -> str:
    return f'a filter is a mapping such as {{"lang": "en"}}, not {filters!r:.80}'
