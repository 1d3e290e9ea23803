"""One module, tried in a context that is made up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
from pydantic import BaseModel, ConfigDict, Field

from dovetail import ChatMessage, ExecutionContext, Session, ValidationFailed, new_id, validated
from dovetail_modules.definition import Timing
from dovetail_modules.resolution.state_tracker import KEY

if TYPE_CHECKING:
    from typing import Self

    from dovetail_modules.resolution.result_models import PostResponseResult, TemplateResolution
    from dovetail_modules.service import ModuleService


class TrialResult(BaseModel):
    """What a module came to."""

    model_config = ConfigDict(frozen=True)

    text: str
    variables: dict[str, Any]
    """What it and those it names left, by module."""
    state: dict[str, Any]
    """What modules would keep for the next turn."""
    skipped: bool
    """Whether its conditions do not hold."""
    errors: tuple[str, ...]
    seconds: float


class Trial(BaseModel):
    """The context."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    message: str = ""
    response: str = ""
    user: str | None = None
    session: str | None = None
    persona: str | None = None
    history: tuple[ChatMessage, ...] = ()
    state: dict[str, Any] = Field(default_factory=dict)
    """Values for `get_state`."""
    tags: tuple[str, ...] = ()
    trigger_context: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The context that JSON text says.

        Raises:
            UsageError: it is none.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise click.UsageError(f"--context is no JSON: {error}") from error
        if not isinstance(values, dict):
            raise click.UsageError("--context should be a JSON object")
        try:
            return validated(cls, values)
        except ValidationFailed as error:
            told = "\n".join(str(problem) for problem in error.problems)
            raise click.UsageError(f"--context: {told}") from error

    async def run(self, service: ModuleService, name: str) -> TrialResult:
        """Have the module work, with those it names."""
        found = (await service.modules()).modules[name].definition
        persona = self.persona or next(iter(found.personas), None)
        session = Session(session_id=self.session or new_id(), user_id=self.user)
        session.state[KEY] = {"values": dict(self.state)}
        session.history = list(self.history)
        context = ExecutionContext(
            session_id=self.session, user_id=self.user, tags=self.tags, properties={}
        )
        trigger = {"message": self.message, **self.trigger_context}
        resolver, template = service.resolver(session), f"@{{{name}}}"
        before = await resolver.resolve_template_stages_1_and_2(
            template, persona_id=persona, trigger_context=trigger, context=context
        )
        text, seconds = before.resolved_template, before.seconds
        result: TemplateResolution | PostResponseResult = before
        if found.timing is Timing.POST_RESPONSE:
            after = await resolver.execute_post_response_stages(
                template,
                self.response,
                persona_id=persona,
                trigger_context=trigger,
                context=context,
            )
            text, seconds = after.texts.get(name, ""), seconds + after.seconds
            result = after
        own = [run for run in result.modules if run.module == name]
        return TrialResult(
            text=text,
            variables=result.variables,
            state=dict(session.state[KEY]),
            skipped=any(run.skipped for run in own),
            errors=result.errors,
            seconds=seconds,
        )
