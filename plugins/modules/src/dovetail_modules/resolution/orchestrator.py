"""The stages of one turn's modules, from the template to what is left for the next turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from dovetail import Stage, StageError
from dovetail_modules.plan import AFTER
from dovetail_modules.planner import Planner
from dovetail_modules.resolution.module_runner import ModuleRunner
from dovetail_modules.resolution.pipeline_executor import MODULE_COMPLETE, PipelineExecutor
from dovetail_modules.resolution.post_response_handler import PostResponseHandler
from dovetail_modules.resolution.template_resolver import TemplateResolver

if TYPE_CHECKING:
    from collections.abc import Callable

    from dovetail_modules.plan import Plan
    from dovetail_modules.resolution.work import Work
    from dovetail_modules.settings import ModulesSettings
    from dovetail_scripts import ScriptEngine

MOST_TOLD = 100
"""How many references that lead nowhere are told of, each by itself."""

log = structlog.get_logger("dovetail")


class Orchestrator:
    """Runs the stages. One serves many turns."""

    def __init__(
        self, settings: ModulesSettings, engine: Callable[[], ScriptEngine | None]
    ) -> None:
        self.settings = settings
        self.planner = Planner(settings)
        self._stage = PipelineExecutor(settings, ModuleRunner(settings, engine))
        self._post = PostResponseHandler(settings)

    async def begin(self, work: Work, *, counting: bool = True) -> None:
        """Before the first stage; `counting` unless the turn was counted before.

        Raises:
            StageError: a module that the template cannot do without is not there.
        """
        plan = work.plan
        self._warn(plan)
        if plan.counts and counting:
            work.states.conversation.count_turn()
        self._post.remember(work)
        work.see()
        if work.tell is not None and work.wants(MODULE_COMPLETE):
            for cut in plan.cuts[:MOST_TOLD]:
                data = {**work.ids, "module": cut.name, "stage": Stage.TEMPLATE.label}
                told = {"kind": None, "seconds": 0.0, "error": cut.reason, "chars": 0}
                await work.tell(MODULE_COMPLETE, {**data, **told})
        if plan.refusal:
            raise StageError(plan.refusal, stage=Stage.TEMPLATE)

    async def run(self, work: Work, stage: Stage) -> None:
        """One stage; the prompt as it is after it stands in `work.prompts`.

        Raises:
            StageError: a module failed that is required.
        """
        if stage is Stage.PRE_RESPONSE and not work.plan.works_in(stage):
            return  # the prompt is what it was
        try:
            await self._stage.run(work, stage, min(self.settings.stage_timeout, work.seconds))
        finally:  # what there is counts, also if the turn is cancelled here
            if stage in AFTER:
                self._post.leave(work)
        if stage not in AFTER:
            work.prompts.set_stage_prompt(stage, self._prompt(work, stage))

    def _prompt(self, work: Work, stage: Stage) -> str:
        resolver = TemplateResolver(work, self.settings)
        text = resolver.prompt()
        for name, reason in resolver.long.items():
            module = work.plan.nodes[name].module
            if module.required:
                message = f"the module `{name}`, which is required, came to nothing: {reason}"
                raise StageError(message, stage=stage)
        return text

    def texts(self, work: Work) -> dict[str, str]:
        """What stands for the modules that worked after the answer, in the next turn's prompt."""
        return self._post.leave(work)

    def _warn(self, plan: Plan) -> None:
        if plan.told:
            return
        plan.told = True
        for cut in plan.cuts[:MOST_TOLD]:
            where = f"module {cut.referrer}" if cut.referrer else "the template"
            log.warning("a module is missing", module=cut.name, named_in=where, why=cut.reason)
        if len(plan.cuts) > MOST_TOLD:
            log.warning("more modules are missing", count=len(plan.cuts) - MOST_TOLD)
