"""What all layers of the config say together, before anything in it is understood."""

from __future__ import annotations

from dataclasses import dataclass, field

from dovetail.config.files import shown
from dovetail.config.places import dotted, heading, split_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Literal

    from dovetail.config.files import ConfigFile
    from dovetail.config.interpolation import Interpolated
    from dovetail.config.places import KeyPath
    from dovetail.errors import Problem

    Layer = Literal["flag", "environment", "project", "user", "mapping", "default"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from.

    `source` is the file's path, the environment variable's name or the flag's dotted path; it is
    empty for defaults and for a mapping that a program gave.
    """

    layer: Layer
    source: str = ""


@dataclass(frozen=True, slots=True)
class RawConfig:
    """The merged and interpolated tables, with the origin of every value in them.

    Tables may hold secrets, so they are not part of the `repr`.
    """

    tables: dict[str, object] = field(repr=False)
    origins: Mapping[KeyPath, Origin] = field(repr=False)
    interpolated: Mapping[KeyPath, Interpolated] = field(repr=False)
    """Every value that came, even in part, through `${…}`."""
    files: tuple[ConfigFile, ...]
    """The files that were read, the project's first; their fingerprints tell a change."""
    problems: tuple[Problem, ...] = ()
    """Mistakes found so far: in environment variables and in `${…}`."""
    failed: frozenset[KeyPath] = frozenset()
    """The values that such a mistake is about; they stay as they were written."""

    def origin(self, path: KeyPath) -> Origin:
        """Where the value came from; of a value that is not there, the table around it."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.origins:
                return self.origins[path[:end]]
        return Origin("default")

    def source(self, path: KeyPath) -> str:
        """The place alone: `dovetail.toml:12`, `environment variable X`, `flag chat.model`.

        Empty where only a default is in effect.
        """
        origin = self.origin(path)
        if origin.layer == "environment":
            return f"environment variable {origin.source}"
        if origin.layer == "flag":
            return f"flag {origin.source}"
        if origin.layer == "mapping":
            return "config mapping"
        for file in self.files:
            if file.layer == origin.layer:
                line = file.line(path)
                return shown(file.path) + (f":{line}" if line else "")
        return ""

    def where(self, path: KeyPath) -> str:
        """The place and the name, as in `dovetail.toml:12 [providers.ollama] base_url`."""
        source = self.source(path)
        if path in self.origins and self.origins[path].layer in {"environment", "flag"}:
            return source
        table, key = split_table(path)
        in_table = isinstance(self.value(table), dict | list | None)
        name = f"{heading(table)} {dotted(key)}" if in_table else dotted(path)
        return f"{source} {name}".strip()

    def value(self, path: KeyPath) -> object:
        """The value at `path`, or `None`."""
        value: object = self.tables
        for key in path:
            if isinstance(value, dict):
                value = value.get(key)
            elif isinstance(value, list) and isinstance(key, int) and 0 <= key < len(value):
                value = value[key]
            else:
                return None
        return value

    def leaves(self) -> Iterator[tuple[KeyPath, object]]:
        """Every value that is no table or list, and every empty one, in the order written."""
        return leaves(self.tables)

    def secrets(self) -> frozenset[str]:
        """Text that must not be shown: what came through `${…}` or has a secret-looking name."""
        from dovetail.redaction import looks_secret

        found: set[str] = set()
        for path, value in self.leaves():
            if path in self.interpolated:
                found.update((str(value), *self.interpolated[path].used))
            elif any(looks_secret(key) for key in path if isinstance(key, str)):
                found.add(secret_text(value))
        return frozenset(found - {""})


def leaves(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    """Every value below `value` that is no table or list, and every empty one."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, value


def secret_text(value: object) -> str:
    """The text of a secret value; empty for what has none worth hiding."""
    if isinstance(value, bool | dict | list | None):
        return ""
    reveal = getattr(value, "get_secret_value", None)
    try:
        return str(reveal() if reveal else value)
    except ValueError:  # a whole number of more digits than Python will write
        return ""
