"""Modules that are text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail_modules.resolution.template_resolver import as_text
from dovetail_modules.template_parser import TemplateParser, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dovetail_modules.definition import ModuleDefinition
    from dovetail_scripts import ScriptExecutionContext


class SimpleModuleExecutor:
    """Fills the values into a module's content. What other modules it names stays as it is."""

    def __init__(self) -> None:
        self._parser = TemplateParser()

    def execute(
        self,
        module: ModuleDefinition,
        trigger_context: Mapping[str, Any] | None = None,
        script_context: ScriptExecutionContext | None = None,
    ) -> str:
        """The content with each `${name}` filled in that is known.

        Names are those of `script_context.inputs`, then of its `inputs["variables"]`, then of
        `trigger_context`, which is also known as a whole under that name.
        """
        inputs = dict(script_context.inputs) if script_context is not None else {}
        trigger = dict(trigger_context or {})
        known = {"trigger_context": trigger, **trigger, **(inputs.get("variables") or {}), **inputs}
        pieces = self._parser.parse(module.content).pieces
        return "".join(
            piece
            if isinstance(piece, str)
            else _filled(piece, known)
            if isinstance(piece, Value)
            else piece.written
            for piece in pieces
        )


def _filled(value: Value, known: Mapping[str, Any]) -> str:
    found: Any = known
    for key in value.path:
        if not isinstance(found, dict) or key not in found:
            return value.written
        found = found[key]
    return as_text(found)
