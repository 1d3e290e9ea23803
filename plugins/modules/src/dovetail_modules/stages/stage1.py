"""The first stage: text, scripts, and what was left after earlier answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail import Stage
from dovetail_modules.stages.base_stage import ModuleStage

if TYPE_CHECKING:
    from dovetail import Turn
    from dovetail_modules.resolution.result_models import ModuleRun


class TemplateModules(ModuleStage):
    """Puts the persona's template together, as far as that needs no model."""

    name = "modules_template"
    stage = Stage.TEMPLATE

    def idle(self, turn: Turn) -> bool:
        """Whether there is nothing to put into the template, as far as is known now."""
        return turn.persona is None or self.shared.idle(turn)

    async def execute(self, turn: Turn) -> list[ModuleRun] | None:
        """See `ModuleStage.execute`; a turn without a persona has no modules."""
        if turn.persona is None or await self.shared.begin(turn) is None:
            return None
        return await super().execute(turn)
