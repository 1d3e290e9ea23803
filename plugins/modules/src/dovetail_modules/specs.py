"""The hook that plugin `modules` declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail import hookspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dovetail_modules.definition import ModuleDefinition


@hookspec
def modules() -> Sequence[ModuleDefinition | Mapping[str, Any]]:  # type: ignore[empty-body]
    """Modules that templates may name: `ModuleDefinition`s, or dictionaries with their fields.

    Called once for each generation of the config. A module of the same name in the operator's
    folder, or in the store, is used instead.
    """
