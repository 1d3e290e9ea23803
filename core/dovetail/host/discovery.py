"""Finding what is installed, without importing any of it.

The scan reads the entry points of each distribution once. It looks at the text first: parsing
all of them takes four times as long where most distributions have nothing for us.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import PurePath
from typing import TYPE_CHECKING, cast

from dovetail import __version__
from dovetail.host.records import PluginRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importlib_metadata import Distribution

API = 1
"""The plugin API this kernel speaks; a plugin's group is `dovetail.v` and the number."""
COMMANDS = f"dovetail.v{API}.commands"
_GROUP = re.compile(r"dovetail\.v(\d+)")
_SECTION = "[dovetail.v"

BUILT_IN = {"in-memory": "dovetail.sessions.memory"}
"""The kernel's own plugins: there also in a frozen application, which has no metadata."""

_only: frozenset[str] | None = None


def restrict(plugin_ids: frozenset[str] | None) -> frozenset[str] | None:
    """See only these installed plugins from now on (None: all); returns what held before.

    For tests: what else happens to be installed must not change them.
    """
    global _only
    before, _only = _only, plugin_ids
    return before


def discover(*, installed: bool = True) -> dict[str, PluginRecord]:
    """Every plugin by id: the kernel's own, and those installed unless they are not wanted."""
    found = {
        plugin_id: PluginRecord(plugin_id, module, "dovetail", __version__, API)
        for plugin_id, module in BUILT_IN.items()
    }
    for distribution, group, name, value in _entry_points() if installed else ():
        match = _GROUP.fullmatch(group)
        if match is None or (_only is not None and name not in _only):
            continue
        record = PluginRecord(name, value, *_identity(distribution), int(match.group(1)))
        first = found.setdefault(name, record)
        if first.distribution != record.distribution:
            first.clash = (*first.clash, record)
        elif first.api != API and record.api == API:
            found[name] = record  # it speaks several versions
    return found


def discover_commands() -> dict[str, tuple[str, str]]:
    """Every command a plugin adds to `dovetail`: name to (`module:attribute`, distribution)."""
    found: dict[str, tuple[str, str]] = {}
    for distribution, group, name, value in _entry_points():
        if group == COMMANDS:
            found.setdefault(name, (value, _identity(distribution)[0]))
    return found


def _entry_points() -> Iterator[tuple[Distribution, str, str, str]]:
    from importlib_metadata import distributions

    for distribution in distributions():
        try:
            text = distribution.read_text("entry_points.txt")
        except (OSError, ValueError):
            continue  # unreadable, or no text: whatever it is, it harms no other
        if text and _SECTION in text:
            for group, name, value in _parse(text):
                yield cast("Distribution", distribution), group, name, value


def _parse(text: str) -> Iterator[tuple[str, str, str]]:
    """Group, name and value of each entry point; a line that is none is passed over."""
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif not line.startswith(("#", ";")):
            name, equals, value = line.partition("=")
            if equals:
                yield group, name.strip(), value.partition("[")[0].strip()  # without extras


def _identity(distribution: Distribution) -> tuple[str, str]:
    """Name and version; from its folder's name where the metadata is missing or broken."""
    with suppress(OSError, KeyError, ValueError):
        if distribution.name and distribution.version:
            return distribution.name, distribution.version
    folder = PurePath(str(getattr(distribution, "_path", "")))
    name, _, version = folder.stem.partition("-")
    return name, version
