"""One turn's modules, at work."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from dovetail import SystemPromptState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from dovetail import ChatMessage, ExecutionContext
    from dovetail_modules.definition import ModuleDefinition
    from dovetail_modules.plan import Plan
    from dovetail_modules.resolution.result_models import ModuleRun
    from dovetail_modules.resolution.session_manager import ModuleStates, StateKeeper
    from dovetail_modules.resolution.streaming_handler import StreamingHandler

    Tell = Callable[[str, Mapping[str, Any]], Awaitable[object]]


@dataclass(slots=True)
class Outcome:
    """What became of one module in this turn."""

    status: Literal["done", "skipped", "failed"]
    text: str | None = None
    """Of an AI module the answer, of a script without content what it gave."""
    variables: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    """What its gap says, if it failed."""
    error: BaseException | None = None
    """Why it failed."""
    cached: bool = False


@dataclass(slots=True, eq=False)
class Work:
    """Everything that the modules of one turn share."""

    plan: Plan
    states: ModuleStates
    keeper: StateKeeper
    asker: StreamingHandler
    context: ExecutionContext | None = None
    persona: str = ""
    trigger_context: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""
    """What the user said."""
    response: str = ""
    """What was answered, after the answer."""
    answered: bool = False
    past: Sequence[ChatMessage] = ()
    """The conversation before this turn."""
    present: Sequence[ChatMessage] = ()
    """What was said in this turn, but by the system."""
    prompts: SystemPromptState = field(default_factory=SystemPromptState)
    variables: dict[str, Any] = field(default_factory=dict)
    """What modules left for one another, by module; templates and scripts see it."""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    runs: list[ModuleRun] = field(default_factory=list)
    tell: Tell | None = None
    wants: Callable[[str], bool] = lambda _: False
    """Whether anybody wants to be told of an event."""
    seconds: float = math.inf
    """How long the modules of one stage may take, whatever the settings say."""
    values: dict[str, Any] = field(default_factory=dict)
    """What templates and scripts see by name."""

    def answer(self, message: ChatMessage) -> None:
        """Note the answer; the first one counts."""
        if not self.answered:
            self.answered = True
            self.response = message.text
            self.present = [*self.present, message]
            self.see()

    @property
    def user(self) -> str | None:
        """Whose turn it is."""
        return self.context.user_id if self.context is not None else None

    @property
    def session(self) -> str | None:
        """The conversation."""
        return self.context.session_id if self.context is not None else None

    @property
    def ids(self) -> dict[str, Any]:
        """What events say of the turn."""
        context = self.context
        return {
            "request_id": context.request_id if context is not None else None,
            "session_id": self.session,
            "user_id": self.user,
            "agent_id": context.agent_id if context is not None else None,
            "persona_id": self.persona or None,
        }

    def see(self) -> None:
        """Take together what templates and scripts see."""
        self.values = {
            "user": self.user,
            "session": self.session,
            "persona": self.persona or None,
            "message": self.message,
            "response": self.response,
            "trigger_context": dict(self.trigger_context),
            "variables": self.variables,
        }

    def history(self, count: int) -> list[ChatMessage]:
        """The latest `count` messages of the conversation, this turn's included."""
        return [*self.past, *self.present][-count:] if count > 0 else []

    def acts(self, module: ModuleDefinition) -> bool:
        """Whether the conditions hold under which `module` acts."""
        when, context = module.when, self.context
        tags = context.tags if context is not None else ()
        first = not self.past
        turn = self.states.conversation.turns
        return (
            all(tag in tags for tag in when.tags)
            and (not when.users or self.user in when.users)
            and (when.session is None or when.session == bool(self.session))
            and all(key in self.trigger_context for key in when.trigger)
            and (when.first_turn is None or when.first_turn == first)
            and (when.every is None or turn % when.every == 0)
        )
