"""The functions that plugins offer to scripts."""

from __future__ import annotations

import weakref
from types import MappingProxyType
from typing import TYPE_CHECKING

from dovetail import DependencyNotFound, Kernel, KernelClosed, PluginError
from dovetail_scripts.builtin import BUILT_IN
from dovetail_scripts.functions import Bound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dovetail import SmartDependencyContainer

_NONE: Mapping[str, Bound] = MappingProxyType({})


class Offered:
    """What the plugins of the running generation answer to the hook `script_functions`.

    It is asked for when a script first runs on a generation: while a kernel starts there is none.
    """

    def __init__(self) -> None:
        self._generation: weakref.ref[object] = weakref.ref(self)
        self._functions = _NONE

    def functions(self, container: SmartDependencyContainer) -> Mapping[str, Bound]:
        """Them by name; none where there is no open kernel.

        Raises:
            PluginError: two offer the same name, or one of them cannot be used.
        """
        try:
            kernel = container.resolve(Kernel)
            generation = kernel.generation
        except (DependencyNotFound, KernelClosed):
            return _NONE
        if self._generation() is not generation:
            self._functions = _collected(kernel, container)
            self._generation = weakref.ref(generation)
        return self._functions


def _collected(kernel: Kernel, container: SmartDependencyContainer) -> Mapping[str, Bound]:
    found: dict[str, Bound] = {}
    owner = dict.fromkeys(BUILT_IN, "scripts")
    for plugin_id, functions in kernel.collect("script_functions", container=container):
        for function in functions:
            bound = Bound(function)
            bound.function.prepare()
            name = bound.function.name
            if name in owner:
                message = (
                    f"plugin `{plugin_id}` offers scripts a function `{name}`, which plugin "
                    f'`{owner[name]}` has already: rename one by `@script_function(name="…")`'
                )
                raise PluginError(message)
            owner[name] = plugin_id
            found[name] = bound
    return MappingProxyType(found)
