"""Writing values as TOML."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from dovetail.config.places import dotted

if TYPE_CHECKING:
    from collections.abc import Mapping


def assignments(values: Mapping[str, object]) -> list[str]:
    """A line `key = value` for each; TOML has nothing for None, so that is left out."""
    return [
        f"{dotted((key,))} = {toml_value(value)}"
        for key, value in values.items()
        if value is not None
    ]


def comment(text: str) -> list[str]:
    """`text` as comment lines; none if it is empty."""
    return [f"# {line}".rstrip() for line in text.strip().splitlines()]


def toml_value(value: object) -> str:
    """`value`, made of what JSON knows, on one line.

    Raises:
        TypeError: JSON does not know it.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # inf and nan: TOML has them, JSON has not
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        return "{" + ", ".join(assignments(value)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(item) for item in value if item is not None) + "]"
    return json.dumps(value)
