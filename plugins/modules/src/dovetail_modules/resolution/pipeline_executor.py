"""The modules of one stage: wave after wave, each wave's side by side."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from dovetail import StageError, redact
from dovetail_modules.errors import ModuleFailed
from dovetail_modules.resolution.module_runner import failed
from dovetail_modules.resolution.result_models import ModuleRun
from dovetail_modules.resolution.template_resolver import TemplateResolver
from dovetail_modules.resolution.work import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dovetail import Stage
    from dovetail_modules.plan import Node
    from dovetail_modules.resolution.module_runner import ModuleRunner
    from dovetail_modules.resolution.work import Work
    from dovetail_modules.settings import ModulesSettings

MODULE_START = "module_start"
MODULE_COMPLETE = "module_complete"

log = structlog.get_logger("dovetail")


class PipelineExecutor:
    """Has the modules of a stage work."""

    def __init__(self, settings: ModulesSettings, runner: ModuleRunner) -> None:
        self._settings = settings
        self._runner = runner

    async def run(self, work: Work, stage: Stage, seconds: float) -> None:
        """All of them, in at most so many seconds; who is not done then has failed.

        Raises:
            StageError: one that is required failed.
        """
        await self._plain(work, stage)
        waves = work.plan.waves.get(stage)
        if not waves:
            return
        timer = asyncio.timeout(seconds)
        done: set[str] = set()
        try:
            async with timer:
                for wave in waves:
                    await self._wave(work, wave, stage, done)
        except TimeoutError:
            if not timer.expired():
                raise
            reason = ModuleFailed(f"was not done after {seconds:g} s of its stage")
            for node in (node for wave in waves for node in wave if node.name not in done):
                await self._ended(work, node, stage, failed(reason), seconds)

    async def _plain(self, work: Work, stage: Stage) -> None:
        """Those that are text alone: which of them act, and telling of them."""
        told = work.tell is not None and (work.wants(MODULE_START) or work.wants(MODULE_COMPLETE))
        nodes = work.plan.plain if told else work.plan.heeded
        for node in nodes.get(stage, ()):
            if node.conditional and not work.acts(node.module):
                work.outcomes[node.name] = Outcome("skipped")
            elif node.conditional or node.after:
                work.outcomes[node.name] = Outcome("done")
            if told:
                await self._begins(work, node, stage)
                await self._told(work, self._run_of(work, node, stage, 0.0))

    async def _wave(self, work: Work, wave: list[Node], stage: Stage, done: set[str]) -> None:
        if len(wave) == 1:
            await self._one(work, wave[0], stage, done)
            return
        waiting = iter(wave)
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(len(wave), self._settings.at_once)):
                    tasks.create_task(self._each(work, waiting, stage, done))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors  # one that is required failed

    async def _each(
        self, work: Work, waiting: Iterator[Node], stage: Stage, done: set[str]
    ) -> None:
        for node in waiting:
            await self._one(work, node, stage, done)

    async def _one(self, work: Work, node: Node, stage: Stage, done: set[str]) -> None:
        began = time.monotonic()
        if node.conditional and not work.acts(node.module):
            outcome = Outcome("skipped")
        else:
            await self._begins(work, node, stage)
            outcome = await self._runner.outcome(work, node, stage)
        done.add(node.name)
        await self._ended(work, node, stage, outcome, time.monotonic() - began)

    async def _begins(self, work: Work, node: Node, stage: Stage) -> None:
        if work.tell is not None and work.wants(MODULE_START):
            kind = str(node.module.kind)
            data = {**work.ids, "module": node.name, "stage": stage.label, "kind": kind}
            await work.tell(MODULE_START, data)

    async def _ended(
        self, work: Work, node: Node, stage: Stage, outcome: Outcome, seconds: float
    ) -> None:
        work.outcomes[node.name] = outcome
        if outcome.variables:
            work.variables[node.name] = dict(outcome.variables)
        run = self._run_of(work, node, stage, seconds)
        work.runs.append(run)
        if run.error is not None:
            log.error("a module failed", module=node.name, stage=stage.label, error=run.error)
        if outcome.status != "skipped":
            await self._told(work, run)
        if run.error is not None and node.module.required:
            message = f"the module `{node.name}`, which is required, failed: {run.error}"
            raise StageError(message, stage=stage) from outcome.error

    def _run_of(self, work: Work, node: Node, stage: Stage, seconds: float) -> ModuleRun:
        """What there is to tell of it; a text that is too long is a failure too."""
        resolver = TemplateResolver(work, self._settings)
        text = resolver.text(node.name)
        outcome = work.outcomes.get(node.name) or Outcome("done")
        if outcome.status == "done" and node.name in resolver.long:
            outcome = failed(ModuleFailed(resolver.long[node.name]))
            work.outcomes[node.name] = outcome
        return ModuleRun(
            node.name,
            stage,
            str(node.module.kind),
            seconds,
            len(text),
            _words(outcome) if outcome.status == "failed" else None,
            skipped=outcome.status == "skipped",
            cached=outcome.cached,
        )

    async def _told(self, work: Work, run: ModuleRun) -> None:
        if work.tell is None or not work.wants(MODULE_COMPLETE):
            return
        data = {
            **work.ids,
            "module": run.module,
            "stage": run.stage.label,
            "kind": run.kind,
            "seconds": run.seconds,
            "error": run.error,
            "chars": run.chars,
            "skipped": run.skipped,
            "cached": run.cached,
        }
        await work.tell(MODULE_COMPLETE, data)


def _words(outcome: Outcome) -> str:
    """Why it failed, for people: without secrets."""
    error = outcome.error
    if error is None:
        return outcome.reason
    return redact(str(error)) or type(error).__name__
