"""The fifth stage: what models make of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail import Stage
from dovetail_modules.component import KEY
from dovetail_modules.resolution.work import Work
from dovetail_modules.stages.base_stage import ModuleStage

if TYPE_CHECKING:
    from dovetail import Turn
    from dovetail_modules.resolution.result_models import ModuleRun


class PostResponseAIModules(ModuleStage):
    """Has models reflect on the answer; what they leave is for the next turn."""

    name = "modules_post_response_ai"
    stage = Stage.POST_RESPONSE_AI
    requires_ai = True

    async def execute(self, turn: Turn) -> list[ModuleRun] | None:
        """See `ModuleStage.execute`; whatever comes of it, the user's state is saved."""
        try:
            return await super().execute(turn)
        finally:
            work = turn.variables.get(KEY)
            if isinstance(work, Work):
                await self.shared.end(work)
