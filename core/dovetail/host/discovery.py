"""Finding what is installed, without importing any of it.

The scan reads the entry points of each distribution once. It looks at the text first: parsing
all of them takes four times as long where most distributions have nothing for us.
"""

from __future__ import annotations

import re
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

BUILT_IN = {"memory": "dovetail.sessions.memory"}
"""The kernel's own plugins: there also in a frozen application, which has no metadata."""

_only: frozenset[str] | None = None


def restrict(plugin_ids: frozenset[str] | None) -> frozenset[str] | None:
    """See only these installed plugins from now on (None: all); returns what held before.

    For tests: what else happens to be installed must not change them.
    """
    global _only
    before, _only = _only, plugin_ids
    return before


def discover() -> dict[str, PluginRecord]:
    """Every installed plugin by id, the kernel's own first."""
    found = {
        plugin_id: PluginRecord(plugin_id, module, "dovetail", __version__, API)
        for plugin_id, module in BUILT_IN.items()
    }
    for distribution, group, name, value in _entry_points():
        match = _GROUP.fullmatch(group)
        if match is None or (_only is not None and name not in _only):
            continue
        record = PluginRecord(
            name, value, distribution.name, distribution.version, int(match.group(1))
        )
        first = found.setdefault(name, record)
        if first is not record and not _same(first, record):
            first.clash = (*first.clash, record)
    return found


def discover_commands() -> dict[str, tuple[str, str]]:
    """Every command a plugin adds to `dovetail`: name to (`module:attribute`, distribution)."""
    found: dict[str, tuple[str, str]] = {}
    for distribution, group, name, value in _entry_points():
        if group == COMMANDS:
            found.setdefault(name, (value, distribution.name))
    return found


def _entry_points() -> Iterator[tuple[Distribution, str, str, str]]:
    from importlib_metadata import distributions

    for distribution in distributions():
        text = distribution.read_text("entry_points.txt")
        if text and _SECTION in text:
            for entry_point in distribution.entry_points:
                yield (
                    cast("Distribution", distribution),
                    entry_point.group,
                    entry_point.name,
                    entry_point.value,
                )


def _same(one: PluginRecord, other: PluginRecord) -> bool:
    """Whether it is one distribution seen twice on the path: the first one counts."""
    return one.distribution == other.distribution and one.module == other.module
