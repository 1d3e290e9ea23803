"""Which of a plugin's components a table means, and what to say where it is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dovetail.config.nearest import nearest
from dovetail.errors import PluginError
from dovetail.host.loading import ENTRY_KINDS

if TYPE_CHECKING:
    from dovetail.component import Component
    from dovetail.host.records import PluginRecord


@dataclass(frozen=True, slots=True)
class _Kind:
    one: str
    table: str


_KINDS = {
    "providers": _Kind("a provider", "[providers.NAME]"),
    "middleware": _Kind("a middleware", "[[middleware]]"),
    "session_stores": _Kind("a session store", "[sessions]"),
    "dependency_providers": _Kind("a dependency provider", "[plugins.ID]"),
    "services": _Kind("a service", "[plugins.ID]"),
    "stage_executors": _Kind("a stage executor", "[plugins.ID]"),
    "shared": _Kind("what its components share", "[plugins.ID]"),
}
"""How an operator calls what a hook gives, and its table."""

HOOK_OF = {kind: hook for hook, kind in ENTRY_KINDS.items()}


class WrongUse(PluginError):
    """A table's `use` names what the plugin does not offer, or not clearly enough."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def choose(record: PluginRecord, hook: str, name: str | None) -> type[Component]:
    """The component of a plugin that a table means.

    Raises:
        WrongUse: it has none of this kind or name, or several and none is named.
    """
    candidates = record.components.get(hook, [])
    if not candidates:
        raise _wrong_kind(record, hook, name)
    wanted = name or (record.plugin_id if len(candidates) > 1 else candidates[0].name)
    for component in candidates:
        if component.name == wanted:
            return component
    full = {c.name: f"`{record.plugin_id}:{c.name}`" for c in candidates}
    names = ", ".join(full.values())
    if name is None:
        message = f"`{record.plugin_id}` offers several of that kind"
        raise WrongUse(message, f"say which in `use`: {names}")
    if any(c.name == name for classes in record.components.values() for c in classes):
        raise _wrong_kind(record, hook, name)
    near = nearest(name, full)
    hint = f"did you mean {full[near]}?" if near else f"it has {names}"
    raise WrongUse(f"`{record.plugin_id}` has no component `{name}`", hint)


def _wrong_kind(record: PluginRecord, hook: str, name: str | None) -> WrongUse:
    """It offers something, but nothing for this kind of table."""
    offered = [
        _KINDS[other]
        for other, classes in record.components.items()
        if any(name is None or c.name == name for c in classes)
    ] or [_KINDS[other] for other, classes in record.components.items() if classes]
    use = f"{record.plugin_id}:{name}" if name else record.plugin_id
    needed = _KINDS[hook]
    if not offered:
        message = f"`{use}` offers nothing that a table can name; {needed.table} needs {needed.one}"
        return WrongUse(message, "name another plugin: `dovetail plugins list` shows them")
    what = " and ".join(kind.one for kind in offered)
    where = " or ".join(kind.table for kind in offered)
    message = f"`{use}` is {what}; {needed.table} needs {needed.one}"
    return WrongUse(message, f"put it under {where}")
