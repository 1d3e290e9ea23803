"""What the stages have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail import StageExecutor
from dovetail_modules.component import KEY, Modules
from dovetail_modules.resolution.work import Work

if TYPE_CHECKING:
    from dovetail import Turn
    from dovetail_modules.resolution.result_models import ModuleRun


class ModuleStage(StageExecutor):
    """Has the modules of one stage work.

    It raises `StageError` where a module fails that is required. What else goes wrong in a module
    leaves a gap, and the time of a stage is kept here.
    """

    shared: Modules
    needs_persona = True

    def idle(self, turn: Turn) -> bool:
        """Whether the first stage found nothing to do."""
        return KEY not in turn.variables

    async def execute(self, turn: Turn) -> list[ModuleRun] | None:
        """What the modules did; None where there is nothing for them to do."""
        work = turn.variables.get(KEY)
        if not isinstance(work, Work):
            return None
        known = len(work.runs)
        await self.shared.run(turn, work, self.stage)
        return work.runs[known:]
