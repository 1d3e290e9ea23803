"""Lengths of time in the config: `30`, `"500ms"`, `"1h30m"`."""

import math
import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

_LONGEST = 100
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,9})?"
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PATTERN = (
    f"^(?:{_NUMBER}|(?=.)" + "".join(f"(?:{_NUMBER}{unit}(?![a-z]))?" for unit in _UNITS) + ")$"
)
_PART = re.compile(f"({_NUMBER})([a-z]*)")
_SPOKEN = re.compile(rf"({_NUMBER})\s*([a-z]+)[\s,]*(?:and\s+)?", re.IGNORECASE)
_WORDS = {
    "d": ("d", "day", "days"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
    "m": ("m", "min", "mins", "minute", "minutes"),
    "s": ("s", "sec", "secs", "second", "seconds"),
    "ms": ("ms", "msec", "millis", "millisecond", "milliseconds"),
}


def parse_duration(value: Any) -> float:
    """The seconds that `value` stands for: a number of them, text such as `"1h30m"`, a timedelta.

    Text is one or more numbers with the units d, h, m, s and ms, the longest first, or a number of
    seconds. Raises pydantic's error for anything else, and for what is negative or endless.
    """
    seconds = -1.0
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value) if abs(value) <= 1e15 else math.inf
    elif isinstance(value, str) and re.match(_PATTERN, text := value.strip()):
        seconds = sum(float(number) * _UNITS.get(unit, 1.0) for number, unit in _PART.findall(text))
    if seconds >= 0 and math.isfinite(seconds):
        return seconds
    raise PydanticCustomError(
        "duration",
        'Input should be a duration: a number of seconds, or text such as "500ms", "90s", "5m", '
        '"1h30m" or "2d"',
    )


def nearest_duration(text: str) -> str | None:
    """What is right and probably meant by `text`: `"1h"` for `"1 hour"`; None if nothing is."""
    units = {word: unit for unit, words in _WORDS.items() for word in words}
    found = _SPOKEN.findall(text[:_LONGEST])
    if not found or _SPOKEN.sub("", text).strip():
        return None
    meant = "".join(f"{number}{units.get(word.lower(), '?')}" for number, word in found)
    return meant if re.match(_PATTERN, meant) else None


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": _PATTERN, "examples": ["500ms", "90s", "1h30m"]},
            ]
        }
    ),
]
"""The type of a setting that is a length of time; the model holds seconds as a float."""
