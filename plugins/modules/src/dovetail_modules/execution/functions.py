"""What the script of a module may call, beside what plugins offer to every script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from dovetail import ChatMessage
from dovetail_scripts import script_function

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dovetail import Stage
    from dovetail_modules.definition import ModuleDefinition
    from dovetail_modules.resolution.streaming_handler import Heard
    from dovetail_modules.resolution.work import Work

MOST_HISTORY = 200
Name = Annotated[str, Field(min_length=1, max_length=200)]


class ModuleFunctions:
    """The functions of one module's script, at work in one stage."""

    def __init__(
        self,
        work: Work,
        module: ModuleDefinition,
        stage: Stage,
        *,
        longest: int,
        heard: Heard | None = None,
    ) -> None:
        self._work = work
        self._module = module
        self._stage = stage
        self._longest = longest
        self._heard = heard

    @script_function
    async def generate(
        self,
        prompt: str,
        model: str = "",
        max_tokens: Annotated[int, Field(ge=1)] | None = None,
        temperature: Annotated[float, Field(ge=0)] | None = None,
    ) -> str:
        """What a model answers to `prompt` alone."""
        return await self._ask([ChatMessage.user(prompt)], model, max_tokens, temperature)

    @script_function
    async def reflect(
        self,
        instruction: str,
        model: str = "",
        max_tokens: Annotated[int, Field(ge=1)] | None = None,
        temperature: Annotated[float, Field(ge=0)] | None = None,
    ) -> str:
        """What a model makes of this turn: it sees the prompt as it is now, and what was said."""
        prompt = self._work.prompts.get_prompt_for_stage(self._stage)
        told = [ChatMessage.system(prompt)] if prompt else []
        messages = [*told, *self._work.present, ChatMessage.user(instruction)]
        return await self._ask(messages, model, max_tokens, temperature)

    @script_function
    def get_state(self, key: Name, default: Any = None) -> Any:
        """What was kept under `key`."""
        return self._work.states.of(self._module).get(key, default)

    @script_function(writes=True)
    def set_state(self, key: Name, value: Any) -> None:
        """Keep JSON data under `key`, for the conversation or the user as the module says."""
        self._work.states.of(self._module).set(key, value)

    @script_function
    def history(self, n: Annotated[int, Field(ge=0)] = 10) -> list[dict[str, str]]:
        """The latest `n` messages, each with `role` and `content`; this turn's are the last."""
        found = self._work.history(min(n, MOST_HISTORY))
        return [{"role": str(message.role), "content": message.text} for message in found]

    def all(self) -> Mapping[str, Callable[..., Any]]:
        """Them by name."""
        return {name: getattr(self, name) for name in FUNCTIONS}

    async def _ask(
        self,
        messages: list[ChatMessage],
        model: str,
        max_tokens: int | None,
        temperature: float | None,
    ) -> str:
        module = self._module
        answer = await self._work.asker.ask(
            messages,
            model=model or module.model,
            max_tokens=max_tokens or module.max_tokens,
            temperature=module.temperature if temperature is None else temperature,
            context=self._work.context,
            longest=self._longest,
            heard=self._heard,
        )
        return answer.strip()


FUNCTIONS = ("generate", "reflect", "get_state", "set_state", "history")
