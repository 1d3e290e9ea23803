"""Modules that a model answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail import ChatMessage
from dovetail_modules.execution.simple_executor import SimpleModuleExecutor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dovetail_modules.definition import ModuleDefinition
    from dovetail_modules.resolution.streaming_handler import Heard, StreamingHandler
    from dovetail_scripts import ScriptExecutionContext


class AIModuleExecutor:
    """Asks a model what a module's content says."""

    def __init__(self, asker: StreamingHandler) -> None:
        self._asker = asker
        self._simple = SimpleModuleExecutor()

    async def execute(
        self,
        module: ModuleDefinition,
        trigger_context: Mapping[str, Any] | None = None,
        script_context: ScriptExecutionContext | None = None,
        *,
        prompt: str | None = None,
        longest: int = 100_000,
        heard: Heard | None = None,
    ) -> str:
        """What the model answers, without the space around it.

        `prompt` is the content with all its modules put in; without it, only values are.

        Raises:
            ModuleError: the answer is too long, or there is no model.
            ProviderError: the call failed.
        """
        if prompt is None:
            prompt = self._simple.execute(module, trigger_context, script_context)
        answer = await self._asker.ask(
            [ChatMessage.user(prompt)],
            model=module.model,
            max_tokens=module.max_tokens,
            temperature=module.temperature,
            context=script_context.context if script_context is not None else None,
            longest=longest,
            heard=heard,
        )
        return answer.strip()
