"""The stages around a turn's answer."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from dovetail.chat.closing import close_forgotten
from dovetail.chat.messages import ChatMessage
from dovetail.chat.state import save_state
from dovetail.pipeline.stage import Stage
from dovetail.pipeline.turn import Turn

if TYPE_CHECKING:
    from dovetail.chat.requests import ChatRequest
    from dovetail.chat.responses import ChatResponse
    from dovetail.chat.runs import Run
    from dovetail.host.generation import Generation
    from dovetail.middleware import TurnCall
    from dovetail.sessions.manager import SessionManager
    from dovetail.sessions.session import Session


_AFTER = (Stage.POST_RESPONSE, Stage.POST_RESPONSE_AI)


class Staging:
    """The stages of one turn, before and after the answer."""

    def __init__(
        self, generation: Generation, run: Run, sessions: SessionManager, call: TurnCall
    ) -> None:
        name, persona = generation.find_persona(call.request.persona_id)
        session = call.session
        self._pipeline = generation.pipeline
        self._run = run
        self._sessions = sessions
        self._before: dict[str, Any] = deepcopy(session.state) if session is not None else {}
        """The session's state as it was when the stages began."""
        self.turn = Turn(
            call.request,
            call.context,
            session,
            name,
            persona,
            persona.template if persona is not None else "",
            publish=generation.events.dispatch,
        )

    async def before_answer(self) -> ChatRequest:
        """Run the stages before the answer; the request with the prompt that they made.

        Raises:
            StageError: one that is required failed.
        """
        turn = self.turn
        turn.prompts.set_stage_prompt(Stage.TEMPLATE, turn.template)
        try:
            for stage in (Stage.TEMPLATE, Stage.PRE_RESPONSE):
                if not self._pipeline.idle(stage, turn):
                    self._run.stage = stage.label
                    await self._pipeline.run(stage, turn)
        finally:
            if self._run.answers:  # what models told the stages is no part of the turn's answer
                theirs, self._run.answers = self._run.answers, []
                await close_forgotten(theirs)
        self._run.stage = Stage.RESPONSE.label
        return _answering(turn)

    async def after_answer(self, response: ChatResponse) -> None:
        """Run the stages after the answer, which is kept; they can be cancelled.

        Raises:
            StageError: one that is required failed.
        """
        self.turn.response = response
        if all(self._pipeline.idle(stage, self.turn) for stage in _AFTER):
            return
        self._run.answer(told=self._pipeline.options.after == "background")
        for stage in _AFTER:
            self._run.stage = stage.label
            await self._pipeline.run(stage, self.turn)

    def take_back(self) -> None:
        """Take back what the stages changed in the state: middleware begins the turn anew."""
        if self.turn.session is not None:
            self.turn.session.state = self._before

    async def save(self, session: Session | None, *, condensed: bool) -> None:
        """Save what the stages changed in the session's state, and its summary.

        Raises:
            SessionConflict: others save it all the time.
        """
        if session is not None and (self.turn.state_changed or condensed):
            await save_state(self._sessions, session, self._before)


def _answering(turn: Turn) -> ChatRequest:
    """The turn's request with the system prompt in front, and what the persona says otherwise."""
    request, persona = turn.request, turn.persona
    changes: dict[str, Any] = {}
    prompt = turn.prompts.get_prompt_for_stage(Stage.PRE_RESPONSE)
    if prompt:
        changes["messages"] = (ChatMessage.system(prompt), *request.messages)
    if persona is not None:
        if persona.model and not request.model:
            changes["model"] = persona.model
        if persona.temperature is not None and request.temperature is None:
            changes["temperature"] = persona.temperature
        if persona.max_tokens is not None and request.max_tokens is None:
            changes["max_tokens"] = persona.max_tokens
    return request.changed(**changes) if changes else request
