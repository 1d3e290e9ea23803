"""Modules as they are found."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dovetail import Problem
    from dovetail_modules.definition import ModuleDefinition


@dataclass(frozen=True, slots=True)
class SourcedModule:
    """A module, and where it is from."""

    definition: ModuleDefinition
    source: str
    """`store`, `folder` or `plugin`."""
    where: str
    """The place for a person, such as `modules/mood.py`."""
    first_line: int = 1
    """The line of the file on which its content, or script, begins."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A module that is there and cannot be used."""

    name: str
    problem: Problem


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All modules at one moment."""

    modules: Mapping[str, SourcedModule] = field(default_factory=lambda: MappingProxyType({}))
    broken: tuple[Broken, ...] = ()
    """Those that cannot be used, and sources that cannot be read."""
    shadowed: tuple[tuple[SourcedModule, SourcedModule], ...] = ()
    """Pairs of the same name: what is used, and what is not."""
    number: int = 0
    """Counts changes."""

    def reason_for(self, name: str) -> str:
        """Why there is no module of this name."""
        if any(broken.name == name for broken in self.broken):
            return "cannot be used"
        return "not found"


def merged(
    sources: Mapping[str, list[SourcedModule]], broken: list[Broken], number: int
) -> Snapshot:
    """The modules of all sources, of which the first with a name wins."""
    modules: dict[str, SourcedModule] = {}
    shadowed = []
    for found in sources.values():
        for module in found:
            known = modules.setdefault(module.definition.name, module)
            if known is not module:
                shadowed.append((known, module))
    return Snapshot(MappingProxyType(modules), tuple(broken), tuple(shadowed), number)
