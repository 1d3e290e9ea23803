"""`DOVETAIL__TABLE__KEY`: environment variables that set values of the config."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PREFIX = "DOVETAIL__"
_BEGINNING = "DOVETAIL_"


def override_names(env: Mapping[str, str]) -> list[str]:
    """The variables that mean to set something, in the order in which they are laid on."""
    return sorted(name for name in env if name.startswith(PREFIX))


def misspelt_names(env: Mapping[str, str], tables: Iterable[str]) -> list[tuple[str, str]]:
    """Variables that mean one of `tables` but have one `_` too few, each with its right name."""
    known = {table.upper() for table in tables}
    found = []
    for name in sorted(env):
        rest = name.removeprefix(_BEGINNING)
        table, underscores, key = rest.partition("__")
        if rest != name and not name.startswith(PREFIX) and underscores and table.upper() in known:
            found.append((name, f"{PREFIX}{table}__{key}"))
    return found


def key_path(name: str, tables: Mapping[str, object]) -> tuple[str, ...]:
    """The path that variable `name` sets.

    Its parts are matched with the keys that are there, whatever their case and with `-` as good as
    `_`; a part that matches none is taken in lower case. Raises `ValueError` saying what is wrong
    with the name.
    """
    parts = name.removeprefix(PREFIX).split("__")
    if not all(parts):
        raise ValueError("names no key: it should look like DOVETAIL__TABLE__KEY")
    path: tuple[str, ...] = ()
    level: object = tables
    for part in parts:
        keys = level if isinstance(level, dict) else {}
        key = _match(part, keys)
        path = (*path, key)
        level = keys.get(key)
    if path[0] == "middleware":
        raise ValueError(
            "sets something in [[middleware]], which is a list; "
            "environment variables reach tables only"
        )
    return path


def value_of(text: str) -> object:
    """The value a variable stands for: its text, or a TOML list or table if it begins like one.

    Raises `ValueError` if it begins like one and is none; the message does not hold the text.
    """
    import tomllib

    if not text.startswith(("[", "{")):
        return text
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        parsed = {}
    if parsed.keys() != {"value"}:
        kind = "list" if text.startswith("[") else "table"
        raise ValueError(f"begins with `{text[0]}` but is not a TOML {kind}")
    return parsed["value"]


def _match(part: str, keys: Iterable[str]) -> str:
    """The one of `keys` that `part` means, an exact one first, else `part` in lower case."""
    plain = part.lower()
    if plain in keys:
        return plain
    same = (key for key in keys if key.lower().replace("-", "_") == plain.replace("-", "_"))
    return next(same, plain)
