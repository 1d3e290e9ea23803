"""Where a value stands in the config, and how that is written for a person."""

from __future__ import annotations

KeyPath = tuple[str | int, ...]
"""The keys from the top of the config down to a value; a number is a place in a list."""

TABLES = (
    "chat",
    "kernel",
    "providers",
    "middleware",
    "sessions",
    "plugins",
    "personas",
    "pipeline",
    "bus",
)
"""The tables that a config may have."""

_NAMED_TABLES = ("providers", "plugins", "personas")


def dotted(path: KeyPath) -> str:
    """`path` in TOML's notation: `providers.ollama.base_url`, `middleware[0].use`."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += f".{_key(key)}" if text else _key(key)
    return text


def split_table(path: KeyPath) -> tuple[KeyPath, KeyPath]:
    """The table an operator wrote a key in, and the key within that table."""
    length = 1
    if path[:1] == ("middleware",) or (path and path[0] in _NAMED_TABLES):
        length = 2
    return path[:length], path[length:]


def heading(table: KeyPath) -> str:
    """How the table is headed in the file: `[chat]`, `[providers.ollama]`, `[[middleware]] #2`."""
    if len(table) == 2 and isinstance(table[1], int):
        return f"[[{table[0]}]] #{table[1] + 1}"
    return f"[{dotted(table)}]"


def _key(key: str) -> str:
    """`key` as TOML wants it, quoted where it must be."""
    if key and key.isascii() and key.replace("-", "").replace("_", "").isalnum():
        return key
    if not key.isprintable():
        return repr(key)
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
