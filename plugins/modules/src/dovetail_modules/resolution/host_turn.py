"""One half of a turn that a program holds itself."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

from dovetail import (
    ChatMessage,
    ExecutionContext,
    Session,
    SessionManager,
    SessionStore,
    Stage,
    current_context,
)
from dovetail_modules.resolution.result_models import TemplateResolution
from dovetail_modules.resolution.session_manager import ModuleStates, StateKeeper
from dovetail_modules.resolution.work import Work

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dovetail_modules.plan import Plan
    from dovetail_modules.resolution.result_models import ModuleRun
    from dovetail_modules.resolution.streaming_handler import StreamingHandler
    from dovetail_modules.settings import ModulesSettings

Db: TypeAlias = Session | SessionManager | SessionStore | None
HISTORY = 200
"""How many of the latest messages are read."""


class HostTurn:
    """Half a turn."""

    def __init__(self, work: Work, keeper: StateKeeper, session: Session | None) -> None:
        self.work = work
        self._keeper = keeper
        self._session = session
        """The program's own, which it saves itself."""

    @classmethod
    async def begin(
        cls,
        plan: Plan,
        asker: StreamingHandler,
        context: ExecutionContext,
        persona: str,
        trigger: Mapping[str, Any],
        db: Db,
        settings: ModulesSettings,
    ) -> HostTurn:
        """Read what is kept, once."""
        own = db if isinstance(db, Session) else None
        manager = SessionManager(db) if isinstance(db, SessionStore) else db
        keeper = StateKeeper(settings, manager if isinstance(manager, SessionManager) else None)
        session, state = own, None
        if keeper.sessions is not None and context.session_id:
            session = await keeper.sessions.get_session(
                context.session_id, user_id=context.user_id, last=HISTORY
            )
            state = keeper.of_session(session)
            state.origin = session
        of_user = None
        if plan.users and context.user_id is not None and keeper.sessions is not None:
            of_user = await keeper.of_user(context.user_id)
        message = str(trigger.get("message", ""))
        work = Work(
            plan,
            ModuleStates(state or keeper.of_session(session), of_user),
            keeper,
            asker,
            context,
            persona,
            trigger,
            message,
            past=session.history if session is not None else (),
            present=[ChatMessage.user(message)] if message else [],
        )
        return cls(work, keeper, own)

    async def save(self) -> bool:
        """Save what was changed, once; whether anything was."""
        work, keeper = self.work, self._keeper
        state, of_user = work.states.conversation, work.states.user
        changed = bool(state.changed)
        if self._session is not None:
            keeper.put(self._session, state)
        elif changed and work.session:
            await keeper.save(work.session, work.user, state)
        if work.user is not None and of_user is not None and of_user.changed:
            changed = True
            await keeper.save_user(work.user, of_user)
        return changed


def context_of(
    context: ExecutionContext | None, conversation: str | None, trigger: Mapping[str, Any]
) -> ExecutionContext:
    """The context of a call: `context`, or the current one, with what the call names."""
    outer, user = context or current_context(), trigger.get("user_id")
    given: dict[str, Any] = {"session_id": conversation} if conversation is not None else {}
    if isinstance(user, str):
        given["user_id"] = user
    if outer is None:
        return ExecutionContext(**given)
    return outer.create_child_context(**given) if given else outer


def unchanging(plan: Plan) -> TemplateResolution:
    """What comes of a template that is the same in every turn."""
    text = plan.text or ""
    runs = plan.texts.get(Stage.TEMPLATE, ())
    return TemplateResolution(resolved_template=text, prompts={1: text, 2: text}, modules=runs)


def all_runs(work: Work, stages: Sequence[Stage]) -> tuple[ModuleRun, ...]:
    """What every module did in these stages; first those that are text alone."""
    texts = chain.from_iterable(work.plan.texts.get(stage, ()) for stage in stages)
    return (*texts, *work.runs)


def all_errors(work: Work) -> tuple[str, ...]:
    """A line for everything that went wrong."""
    missing = (f"module {cut.name}: {cut.reason}" for cut in work.plan.cuts)
    failed = (f"module {run.module}: {run.error}" for run in work.runs if run.error is not None)
    return (*missing, *failed)
