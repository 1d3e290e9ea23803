"""How a value of the config is shown to a person: as it would stand in the file, and briefly."""

from __future__ import annotations

import datetime as dt
from pathlib import PurePath

_HUGE_BITS = 256


def render(value: object, longest: int) -> str:
    """`value` in TOML's notation, text cut after `longest` characters.

    Lists and tables are only named, unless they are empty, and of foreign objects only the type:
    there is no knowing what they show of themselves.
    """
    match value:
        case None:
            shown = "None"
        case str() | PurePath():
            text = str(value)
            shown = _quoted(text if len(text) <= longest else f"{text[:longest]}…")
        case bool():
            shown = str(value).lower()
        case int() if value.bit_length() > _HUGE_BITS:
            shown = "a huge number"
        case int() | float() | dt.date() | dt.time():
            shown = str(value)
        case dict():
            shown = "a table" if value else "{}"
        case list() | tuple() | set() | frozenset():
            shown = "a list" if value else "[]"
        case _:
            shown = f"<{type(value).__name__}>"
    return shown


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in escaped)
    return f'"{shown}"'
