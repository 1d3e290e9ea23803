"""One module at work, within its limits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from dovetail import ProviderError
from dovetail_modules.definition import CachePolicy, ModuleKind, StateScope
from dovetail_modules.errors import ModuleError, ModuleFailed, StateTooLarge
from dovetail_modules.execution.ai_executor import AIModuleExecutor
from dovetail_modules.execution.functions import ModuleFunctions
from dovetail_modules.execution.script_executor import ScriptModuleExecutor
from dovetail_modules.resolution.state_tracker import Left, TimedCache
from dovetail_modules.resolution.template_resolver import TemplateResolver, as_text
from dovetail_modules.resolution.work import Outcome
from dovetail_scripts import ScriptError, ScriptExecutionContext

if TYPE_CHECKING:
    from collections.abc import Callable

    from dovetail import Stage
    from dovetail_modules.definition import ModuleDefinition
    from dovetail_modules.plan import Node
    from dovetail_modules.resolution.streaming_handler import Heard
    from dovetail_modules.resolution.work import Work
    from dovetail_modules.settings import ModulesSettings
    from dovetail_scripts import ScriptEngine

MODULE_CHUNK = "module_chunk"

log = structlog.get_logger("dovetail")


class ModuleRunner:
    """Has modules work, or takes what they came to before while that is good."""

    def __init__(
        self, settings: ModulesSettings, engine: Callable[[], ScriptEngine | None]
    ) -> None:
        self._settings = settings
        self._scripts = ScriptModuleExecutor(engine)
        self._timed = TimedCache()

    async def outcome(self, work: Work, node: Node, stage: Stage) -> Outcome:
        """What becomes of a module; nothing is raised but a cancel that was asked for."""
        kept = self._kept(work, node.module)
        if kept is not None:
            text = None if _filled_in(node) else kept.text
            return Outcome("done", text, kept.variables, cached=True)
        seconds = self._seconds(node.module)
        timer = asyncio.timeout(seconds)
        try:
            async with timer:
                outcome = await self._work(work, node, stage)
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            if timer.expired():
                return failed(ModuleFailed(f"took longer than {seconds:g} s"))
            return failed(error)
        self._keep(work, node.module, outcome)
        return outcome

    async def _work(self, work: Work, node: Node, stage: Stage) -> Outcome:
        module, heard = node.module, self._listener(work, node, stage)
        resolver = TemplateResolver(work, self._settings)
        script = ScriptExecutionContext(module.name, work.context, dict(work.values))
        longest = resolver.longest(node)
        if module.kind is ModuleKind.AI:
            answer = await AIModuleExecutor(work.asker).execute(
                module,
                script_context=script,
                prompt=resolver.content(node),
                longest=longest,
                heard=heard,
            )
            return Outcome("done", answer)
        if node.after:
            script.inputs = {**script.inputs, "previous": resolver.left(node.name)}
        script.functions = ModuleFunctions(work, module, stage, longest=longest, heard=heard).all()
        result = await self._scripts.execute(module, script_context=script)
        text = None
        if not _filled_in(node):
            text = as_text(result.value) if result.value is not None else result.output.strip()
        return Outcome("done", text, dict(result.variables))

    def _seconds(self, module: ModuleDefinition) -> float:
        own, most = module.limits.time, self._settings.module_timeout
        return most if own is None else min(own, most)

    def _listener(self, work: Work, node: Node, stage: Stage) -> Heard | None:
        """Tells of each piece of a model's answer, if anybody wants that."""
        tell = work.tell
        if tell is None or not work.wants(MODULE_CHUNK):
            return None
        ids = {**work.ids, "module": node.name, "stage": stage.label}
        return lambda text: tell(MODULE_CHUNK, {**ids, "text": text})

    def _kept(self, work: Work, module: ModuleDefinition) -> Left | None:
        if module.cache is CachePolicy.SESSION:
            return work.states.of(module).cached(module.name, module.digest)
        if module.cache is CachePolicy.TTL and (key := _key(work, module)):
            return self._timed.get(key)
        return None

    def _keep(self, work: Work, module: ModuleDefinition, outcome: Outcome) -> None:
        what = Left(outcome.text or "", outcome.variables)
        if module.cache is CachePolicy.SESSION:
            try:
                work.states.of(module).cache(module.name, module.digest, what)
            except StateTooLarge as error:
                log.warning("a module works again next time", module=module.name, why=str(error))
        elif module.ttl is not None and (key := _key(work, module)):
            self._timed.put(key, what, module.ttl)


def failed(error: BaseException) -> Outcome:
    """The outcome of a module that failed; what its gap says has no word of anybody else's."""
    reason = "failed"
    if isinstance(error, ModuleFailed):
        reason = str(error)
    elif isinstance(error, StateTooLarge):
        reason = "what it keeps has no room"
    elif isinstance(error, ScriptError):
        reason = "its script failed"
    elif isinstance(error, ProviderError):
        reason = "its model did not answer"
    elif isinstance(error, ModuleError):
        reason = "cannot work here"
    return Outcome("failed", reason=reason, error=error)


def _filled_in(node: Node) -> bool:
    """Whether its text is its content, with a script's values filled in."""
    return node.module.kind is ModuleKind.SCRIPT and bool(node.parts)


def _key(work: Work, module: ModuleDefinition) -> tuple[str, ...]:
    """What a module's result is kept under for a time; nothing if it would be everybody's."""
    whose = work.user if module.scope is StateScope.USER else work.session
    if whose is None:
        return ()
    return module.name, module.digest, module.scope, work.user or "", whose
