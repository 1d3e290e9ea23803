"""JSON values that cannot be changed.

Messages and responses are shared: between turns, with the memory store, with every middleware. A
plain dictionary in one of them could be changed under all who hold it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping


def _refuse(*_: object, **__: object) -> NoReturn:
    message = "it belongs to an immutable model: make another with `model_copy(update=...)`"
    raise TypeError(message)


class FrozenDict(dict[str, Any]):
    """A dictionary that refuses to change; equal to a plain one, and JSON like one."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[FrozenDict], tuple[dict[str, Any]]]:
        """Copied and pickled by way of a plain dictionary."""
        return FrozenDict, (dict(self),)


class FrozenList(list[Any]):
    """A list that refuses to change; equal to a plain one, and JSON like one."""

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce__(self) -> tuple[type[FrozenList], tuple[list[Any]]]:
        """Copied and pickled by way of a plain list."""
        return FrozenList, (list(self),)


_EMPTY = FrozenDict()


def empty() -> FrozenDict:
    """The object with nothing in it, which all share."""
    return _EMPTY


def freeze(value: Mapping[str, Any]) -> FrozenDict:
    """A JSON object that cannot be changed, at any depth; a tuple in it becomes a list.

    Raises:
        ValueError: something in it is nothing that JSON has.
    """
    if not value:
        return _EMPTY
    return FrozenDict({_key(key): _frozen(item) for key, item in value.items()})


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    message = f"the key {key!r} is no text, as JSON wants it"
    raise ValueError(message)  # a ValueError is what pydantic reports as the value's error


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return freeze(value)
    if isinstance(value, (list, tuple)):
        return FrozenList([_frozen(item) for item in value])
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    message = f"{value!r:.80} is nothing that JSON has"
    raise ValueError(message)
