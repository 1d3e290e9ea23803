"""What may pass between a script and its host: JSON data, and datetimes."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

DEEPEST = 100
"""How many lists and dicts may lie within one another."""
MOST_BITS = 14_000
"""Of a whole number: Python itself refuses to write longer ones."""


class NotData(Exception):
    """Something in it is no JSON data; the message says what."""


class TooLong(Exception):
    """It has more characters than may pass."""


class Allowance:
    """How many characters may still pass. An item costs at least one."""

    def __init__(self, characters: int) -> None:
        self.limit = characters
        self._left = characters

    def take(self, characters: int) -> None:
        """Use some.

        Raises:
            TooLong: that is more than there were.
        """
        self._left -= characters
        if self._left < 0:
            raise TooLong(f"{self.limit:,} characters")


def copied(value: object, allowance: Allowance) -> Any:
    """A copy of JSON data, in which nothing is shared with `value`; a tuple becomes a list.

    Keys must be text. A datetime is let through as it is.

    Raises:
        NotData: it is, or holds, something else, or itself, or lies too deep.
        TooLong: it is longer than `allowance`.
    """
    return _copied(value, allowance, DEEPEST)


def _copied(value: object, allowance: Allowance, depth: int) -> Any:
    kind = type(value)
    if kind is str:
        return _text(value, allowance)  # type: ignore[arg-type]  # just seen
    if value is None or kind is bool:
        allowance.take(1)
        return value
    if isinstance(value, list | tuple | dict):
        if not depth:
            raise NotData(f"lists or dicts that lie more than {DEEPEST} deep, or in themselves")
        allowance.take(1)
        if isinstance(value, dict):
            return dict(_items(value, allowance, depth - 1))
        return [_copied(item, allowance, depth - 1) for item in value]
    return _scalar(value, allowance)


def _items(value: dict[Any, Any], allowance: Allowance, depth: int) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if not isinstance(key, str):
            raise NotData(f"a dict with a key of type {type(key).__name__}")
        yield _text(key, allowance), _copied(item, allowance, depth)


def _scalar(value: object, allowance: Allowance) -> Any:
    if isinstance(value, str):
        return _text(str(value), allowance)
    if isinstance(value, int):
        if value.bit_length() > MOST_BITS:
            raise NotData("a whole number of thousands of digits")
        allowance.take(1 + value.bit_length() // 3)
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotData(f"the number {value}")
        allowance.take(1)
        return float(value)
    if isinstance(value, datetime):
        allowance.take(1)
        return value
    raise NotData(f"{_article(type(value).__name__)}")


def _text(value: str, allowance: Allowance) -> str:
    allowance.take(1 + len(value))
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise NotData("text with half of a surrogate pair") from error
    return value


def _article(name: str) -> str:
    return f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"
