"""What the stages of one turn work on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dovetail.pipeline.prompt_state import SystemPromptState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from dovetail.chat.requests import ChatRequest
    from dovetail.chat.responses import ChatResponse
    from dovetail.context import ExecutionContext
    from dovetail.pipeline.persona import Persona
    from dovetail.pipeline.stage import Stage
    from dovetail.sessions.session import Session

    Publish = Callable[[str, Mapping[str, Any]], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class StageResult:
    """What one executor did in a stage."""

    stage: Stage
    executor: str
    """The executor's name."""
    seconds: float
    error: BaseException | None = None
    """Why it failed; the turn went on without it."""
    value: Any = None
    """What it returned."""


@dataclass(slots=True)
class Turn:
    """One turn as its stages see it; they leave their results for those that follow."""

    request: ChatRequest
    """What was asked; history is not in it, see `session`."""
    context: ExecutionContext
    session: Session | None = None
    """The session with its latest messages; None if nothing is kept."""
    persona_id: str = ""
    """The persona's name in the config; empty without one."""
    persona: Persona | None = None
    template: str = ""
    """The persona's template."""
    prompts: SystemPromptState = field(default_factory=SystemPromptState)
    """The system prompt after each stage; what stands after the second is sent to the model."""
    response: ChatResponse | None = None
    """The answer, from the fourth stage on."""
    variables: dict[str, Any] = field(default_factory=dict)
    """Values that stages leave for later ones."""
    results: dict[Stage, list[StageResult]] = field(default_factory=dict)
    """What was done, by stage."""
    publish: Publish | None = field(default=None, repr=False)
    """Tells the event providers of something that happened in a stage."""
    state_changed: bool = False
    """Set it after a change of `session.state`: it is saved once, when the turn ends."""

    async def tell(self, event: str, data: Mapping[str, Any]) -> None:
        """Tell the event providers; what they do with it harms nobody here."""
        if self.publish is not None:
            await self.publish(event, data)
