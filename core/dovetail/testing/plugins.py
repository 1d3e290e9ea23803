"""Plugins made by hand, for `Kernel.register`."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from dovetail.errors import PluginError
from dovetail.hookspecs import hookimpl
from dovetail.host.loading import KINDS

if TYPE_CHECKING:
    from dovetail.component import Component


def plugin_of(*components: type[Component]) -> ModuleType:
    """A plugin whose hooks return these classes; its name is the first one's.

    Raises:
        PluginError: one of them is of no kind that a hook returns.
    """
    plugin = ModuleType(components[0].name if components else "nothing")
    for hook, base in KINDS.items():
        of_kind = [cls for cls in components if issubclass(cls, base)]
        if of_kind:
            setattr(plugin, hook, _returns(of_kind))
    for cls in components:
        if not issubclass(cls, tuple(KINDS.values())):
            kinds = ", ".join(base.__name__ for base in KINDS.values())
            message = f"`{cls.__name__}` is none of {kinds}: no hook returns it"
            raise PluginError(message)
    return plugin


def _returns(classes: list[type[Component]]) -> object:
    @hookimpl
    def hook() -> list[type[Component]]:
        return classes

    return hook
