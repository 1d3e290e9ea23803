"""Modules that other plugins bring."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dovetail import PluginError, Problem, validation_problems
from dovetail_modules.definition import ModuleDefinition
from dovetail_modules.sourced import Broken, SourcedModule

if TYPE_CHECKING:
    from dovetail import Kernel


class OfferedModules:
    """What the plugins of the running generation answer to the hook `modules`."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._generation: weakref.ref[object] = weakref.ref(self)
        self.found: list[SourcedModule] = []
        self.broken: list[Broken] = []

    def look(self) -> bool:
        """Ask them if there is a new generation; whether there is."""
        generation = self._kernel.generation
        if self._generation() is generation:
            return False
        self._generation = weakref.ref(generation)
        self.found, self.broken = [], []
        try:
            answers = self._kernel.collect("modules")
        except PluginError as error:
            self.broken.append(Broken("", Problem(str(error), "plugins")))
            return True
        for plugin_id, offered in answers:
            for module in offered:
                self._take(module, f"plugin {plugin_id}")
        return True

    def _take(self, module: object, where: str) -> None:
        if isinstance(module, ModuleDefinition):
            self.found.append(SourcedModule(module, "plugin", where))
            return
        if not isinstance(module, Mapping):
            message = f"it offers {type(module).__name__}, not a ModuleDefinition or a dictionary"
            self.broken.append(Broken("", Problem(message, where)))
            return
        name = str(module.get("name", ""))
        problems = validation_problems(ModuleDefinition, module)
        for problem in problems:
            place = f"{where}, `{name}` {problem.where}".rstrip()
            self.broken.append(Broken(name, Problem(problem.message, place, problem.hint)))
        if not problems:
            definition = ModuleDefinition.model_validate(module)
            self.found.append(SourcedModule(definition, "plugin", where))
