"""The fourth stage: what is to be done with an answer without asking a model."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dovetail import Stage, StageError
from dovetail_modules.component import KEY
from dovetail_modules.resolution.work import Work
from dovetail_modules.stages.base_stage import ModuleStage

if TYPE_CHECKING:
    from dovetail import Turn
    from dovetail_modules.resolution.result_models import ModuleRun


class PostResponseModules(ModuleStage):
    """Has scripts work on the answer; what they leave is for the next turn."""

    name = "modules_post_response"
    stage = Stage.POST_RESPONSE

    async def execute(self, turn: Turn) -> list[ModuleRun] | None:
        """See `ModuleStage.execute`."""
        try:
            return await super().execute(turn)
        except (StageError, asyncio.CancelledError):
            work = turn.variables.get(KEY)
            if isinstance(work, Work):  # there will be no fifth stage
                await self.shared.end(work)
            raise
