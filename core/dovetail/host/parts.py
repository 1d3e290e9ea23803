"""The components that act as soon as their plugin is loaded, and their settings in `[plugins.ID]`.

A plugin's services, stage executors and dependency providers act by themselves; so does what its
components share.
The one that is named like the plugin, or the only one that takes settings, has its settings in
`[plugins.ID]` itself; each of the others has a table of its own in it, `[plugins.ID.NAME]`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dovetail.component import settings_type, shared_type
from dovetail.config.entries import Entry, place_of
from dovetail.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dovetail.component import Component
    from dovetail.config.entries import Kind
    from dovetail.host.records import PluginRecord

PART_HOOKS: dict[str, Kind] = {
    "shared": "shared",
    "dependency_providers": "dependencies",
    "services": "service",
    "stage_executors": "stage",
}
"""What holds a plugin's parts in its record, in the order in which they are made."""


@dataclass(frozen=True, slots=True)
class Part:
    """One component of a plugin that acts by itself."""

    kind: Kind
    component: type[Component]


def shared_of(classes: Iterable[type[Component]]) -> list[type[Component]]:
    """What `classes` share, each once.

    Raises:
        PluginError: an annotation `shared` is no component's class.
    """
    found = (shared_type(cls) for cls in classes)
    return list(dict.fromkeys(cls for cls in found if cls is not None))


def parts_of(record: PluginRecord) -> list[Part]:
    """The parts of a plugin that is loaded."""
    return [
        Part(kind, component)
        for hook, kind in PART_HOOKS.items()
        for component in record.components.get(hook, ())
    ]


def check_parts(record: PluginRecord) -> None:
    """Refuse parts that config could not tell apart.

    Raises:
        PluginError: two of them have one name, or one is named like a setting of another.
    """
    parts = parts_of(record)
    names = [part.component.name for part in parts]
    for name in names:
        if names.count(name) > 1:
            raise PluginError(f"it has two parts called `{name}`; rename one")
    models = {p.component.name: m for p in parts if (m := settings_type(p.component)) is not None}
    for name, model in models.items():
        if place_of(record.plugin_id, name, list(models)):
            continue
        for other in models:
            if other != name and other in model.model_fields:
                message = f"`{name}` has a setting `{other}`, which is a part's name; rename one"
                raise PluginError(message)


def part_entries(record: PluginRecord, entries: Sequence[Entry]) -> list[tuple[Part, Entry]]:
    """A table for each part of a plugin, cut out of `[plugins.ID]`.

    `entries` are the tables that name the plugin. Without one of its own, a part is optional if
    they all are.
    """
    parts = parts_of(record)
    names = [p.component.name for p in parts if settings_type(p.component) is not None]
    path = ("plugins", record.plugin_id)
    optional = all(entry.optional for entry in entries)
    own = next((entry for entry in entries if entry.kind == "plugin"), None)
    own = own or Entry("plugin", record.plugin_id, record.plugin_id, None, optional, {}, path)
    below = [n for n in names if place_of(record.plugin_id, n, names)]
    found = []
    for part in parts:
        name = part.component.name
        place = place_of(record.plugin_id, name, names)
        table = own.values.get(name, {}) if place else own.values
        if place:
            values = dict(table) if isinstance(table, dict) else {}
        else:
            values = {key: value for key, value in own.values.items() if key not in below}
        if name not in names:
            values = {}
        entry = replace(
            own,
            kind=part.kind,
            name=f"{record.plugin_id}:{name}",
            component=name,
            values=values,
            path=(*path, *place) if name in names else path,
        )
        found.append((part, entry))
    return found


def unclaimed(record: PluginRecord, entry: Entry) -> list[str]:
    """The keys of `[plugins.ID]` that no part of the plugin takes."""
    parts = parts_of(record)
    names = [p.component.name for p in parts if settings_type(p.component) is not None]
    places = {name: place_of(record.plugin_id, name, names) for name in names}
    if any(not place for place in places.values()):
        return [
            key
            for key, value in entry.values.items()
            if places.get(key) and not isinstance(value, dict)
        ]
    return [
        key
        for key, value in entry.values.items()
        if not places.get(key) or not isinstance(value, dict)
    ]
