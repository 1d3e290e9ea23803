"""`StagedModuleResolver`: a template's modules, for programs that hold the turn themselves."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from dovetail import ChatMessage, ChatProvider, ChatResponse, Stage, SystemPromptState
from dovetail_modules.catalogue import Catalogue
from dovetail_modules.plan import AFTER, BEFORE
from dovetail_modules.resolution.host_turn import (
    HostTurn,
    all_errors,
    all_runs,
    context_of,
    unchanging,
)
from dovetail_modules.resolution.orchestrator import Orchestrator
from dovetail_modules.resolution.result_models import PostResponseResult, TemplateResolution
from dovetail_modules.resolution.streaming_handler import StreamingHandler
from dovetail_modules.settings import ModulesSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dovetail import ExecutionContext
    from dovetail_modules.component import Modules
    from dovetail_modules.definition import ModuleDefinition
    from dovetail_modules.plan import Plan
    from dovetail_modules.resolution.host_turn import Db
    from dovetail_modules.resolution.work import Work
    from dovetail_scripts import ScriptEngine

REMEMBERED = 256
"""Of how many conversations the prompts are remembered between the two halves of a turn."""


class StagedModuleResolver:
    """Puts a template's modules in before an answer, and has modules work after it.

    In a kernel this is done in each turn of a persona; `ModuleService.resolver()` gives one with
    the kernel's modules. Alone it works with the `modules` it is given.

    `db_session` is where modules keep things, unless a call brings another: a `Session`, which is
    changed and which the caller saves; or a `SessionManager` or `SessionStore`, in which the
    session of the conversation is read and saved, once a call. None keeps nothing.
    """

    def __init__(
        self,
        db_session: Db = None,
        *,
        modules: Sequence[ModuleDefinition] = (),
        engine: ScriptEngine | None = None,
        settings: ModulesSettings | None = None,
        shared: Modules | None = None,
    ) -> None:
        """`engine` runs scripts; `shared` has all of this, from a kernel."""
        self._db = db_session
        self._shared = shared
        self._settings = shared.settings if shared else settings or ModulesSettings()
        self._orchestrator = (
            shared.orchestrator if shared else Orchestrator(self._settings, lambda: engine)
        )
        self._catalogue = shared.catalogue if shared else Catalogue(fixed=modules)
        self._prompts: OrderedDict[str, SystemPromptState] = OrderedDict()

    async def resolve_template_stages_1_and_2(  # noqa: PLR0913, PLR0917 - what the requirements list
        self,
        template: str,
        session_id: str | None = None,
        conversation_id: str | None = None,
        persona_id: str | None = None,
        db_session: Db = None,
        trigger_context: Mapping[str, Any] | None = None,
        current_provider: str | ChatProvider | None = None,
        provider_settings: Mapping[str, Any] | None = None,
        chat_controls: Mapping[str, Any] | None = None,
        *,
        context: ExecutionContext | None = None,
    ) -> TemplateResolution:
        """The template with the modules put in that work before an answer.

        Args:
            template: text with `@name` and `${name}`.
            session_id: the request at hand; stands for the conversation where that is not given.
            conversation_id: whose state is used; the name of its session.
            persona_id: modules that are for other personas are left out.
            db_session: where state is kept; else that of the constructor, see there.
            trigger_context: JSON data for scripts, conditions, and `${trigger_context.key}`;
                `message` in it is what the user said, `user_id` whose conversation it is.
            current_provider: the model that modules ask which name none: "instance/model" of the
                kernel, or a provider.
            provider_settings: go to the provider with each request, as `extras`; `model` in them
                is the model's name.
            chat_controls: fields of `ChatRequest`, such as `temperature`, for modules that say
                nothing else.
            context: of the work at hand; else the current one, or a new one.

        Raises:
            StageError: a module failed that is required.
        """
        plan = await self._plan(template, persona_id)
        if plan.unchanging:
            return unchanging(plan)
        began, trigger = time.monotonic(), trigger_context or {}
        turn = await HostTurn.begin(
            plan,
            self._asker(current_provider, provider_settings, chat_controls),
            context_of(context, conversation_id or session_id, trigger),
            persona_id or "",
            trigger,
            db_session if db_session is not None else self._db,
            self._settings,
        )
        work = self._listened(turn.work)
        try:
            await self._orchestrator.begin(work)
            for stage in BEFORE:
                await self._orchestrator.run(work, stage)
        finally:
            await turn.save()
        self._remember(work.session, work.prompts)
        return TemplateResolution(
            resolved_template=work.prompts.get_prompt_for_stage(Stage.PRE_RESPONSE),
            prompts={int(stage): work.prompts.get_prompt_for_stage(stage) for stage in BEFORE},
            modules=all_runs(work, BEFORE),
            errors=all_errors(work),
            variables=dict(work.variables),
            seconds=time.monotonic() - began,
        )

    async def execute_post_response_stages(  # noqa: PLR0913, PLR0917 - as above
        self,
        template: str,
        ai_response: str | ChatResponse | ChatMessage,
        session_id: str | None = None,
        conversation_id: str | None = None,
        persona_id: str | None = None,
        db_session: Db = None,
        trigger_context: Mapping[str, Any] | None = None,
        provider: str | ChatProvider | None = None,
        provider_settings: Mapping[str, Any] | None = None,
        chat_controls: Mapping[str, Any] | None = None,
        *,
        context: ExecutionContext | None = None,
    ) -> PostResponseResult:
        """Have the template's modules work that follow an answer, and keep what they leave.

        The arguments are those of `resolve_template_stages_1_and_2`; `ai_response` is the answer,
        `provider` the `current_provider`.

        Raises:
            StageError: a module failed that is required.
        """
        plan = await self._plan(template, persona_id)
        if not plan.works_after:
            return PostResponseResult()
        began, trigger = time.monotonic(), trigger_context or {}
        turn = await HostTurn.begin(
            plan,
            self._asker(provider, provider_settings, chat_controls),
            context_of(context, conversation_id or session_id, trigger),
            persona_id or "",
            trigger,
            db_session if db_session is not None else self._db,
            self._settings,
        )
        work = self._listened(turn.work)
        answer = ai_response.message if isinstance(ai_response, ChatResponse) else ai_response
        answer = ChatMessage.assistant(answer) if isinstance(answer, str) else answer
        work.answer(answer)
        work.prompts = self._recall(work.session, template)
        changed = False
        try:
            await self._orchestrator.begin(work, counting=False)
            for stage in AFTER:
                await self._orchestrator.run(work, stage)
        finally:
            changed = await turn.save()
        return PostResponseResult(
            modules=all_runs(work, AFTER),
            errors=all_errors(work),
            variables=dict(work.variables),
            texts=self._orchestrator.texts(work),
            state_changed=changed,
            seconds=time.monotonic() - began,
        )

    async def _plan(self, template: str, persona_id: str | None) -> Plan:
        catalogue = self._catalogue
        snapshot = catalogue.snapshot if catalogue.fresh else await catalogue.current()
        return self._orchestrator.planner.plan(template, snapshot, persona_id or "")

    def _asker(
        self,
        model: str | ChatProvider | None,
        settings: Mapping[str, Any] | None,
        controls: Mapping[str, Any] | None,
    ) -> StreamingHandler:
        return StreamingHandler(
            self._shared.container if self._shared is not None else None,
            model or self._settings.model,
            settings=settings,
            controls=controls,
            depth=self._settings.reflection_depth,
        )

    def _listened(self, work: Work) -> Work:
        """The same, with the kernel's event providers told of it, if there is a kernel."""
        if self._shared is not None:
            kernel = self._shared.kernel
            work.tell, work.wants = kernel.publish, kernel.generation.events.wants
        return work

    def _remember(self, conversation: str | None, prompts: SystemPromptState) -> None:
        if conversation is not None:
            self._prompts.pop(conversation, None)
            self._prompts[conversation] = prompts
            if len(self._prompts) > REMEMBERED:
                self._prompts.popitem(last=False)

    def _recall(self, conversation: str | None, template: str) -> SystemPromptState:
        """The prompts of the turn's first half; without it, the template as it is written."""
        known = self._prompts.pop(conversation or "", None)
        if known is None:
            known = SystemPromptState()
            known.set_stage_prompt(Stage.TEMPLATE, template)
        return known
