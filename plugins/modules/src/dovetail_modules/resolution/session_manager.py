"""Where the modules of a turn have their state: in the conversation's session, and the user's."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import structlog

from dovetail import Session, SessionConflict, SessionManager
from dovetail_modules.definition import StateScope
from dovetail_modules.resolution.state_tracker import KEY, ConversationState, bring_to

if TYPE_CHECKING:
    from dovetail_modules.definition import ModuleDefinition
    from dovetail_modules.settings import ModulesSettings

log = structlog.get_logger("dovetail")

USERS = "~modules/"
"""What the name of the session begins with that keeps the state of a user's modules."""
LONGEST_USER = 400
TRIES = 5
"""How often a change is brought to what others have saved meanwhile."""


class ModuleStates:
    """What modules keep: of the conversation, and of the user if any of them asks."""

    def __init__(self, conversation: ConversationState, user: ConversationState | None) -> None:
        self.conversation = conversation
        self.user = user
        """None where there is no user, or no module that remembers things of one."""

    def of(self, module: ModuleDefinition) -> ConversationState:
        """The state that `module` remembers things in; without a user, the conversation's."""
        if module.scope is StateScope.USER and self.user is not None:
            return self.user
        return self.conversation


def session_of(user: str) -> str:
    """The name of the session in which a user's modules keep things."""
    if len(user) > LONGEST_USER:
        user = hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{USERS}{user}"


class StateKeeper:
    """Reads the states of a turn, and saves what changed."""

    def __init__(self, settings: ModulesSettings, sessions: SessionManager | None) -> None:
        self._settings = settings
        self.sessions = sessions

    def of_session(self, session: Session | None) -> ConversationState:
        """The state of a session, which `put` writes back."""
        data = session.state.get(KEY) if session is not None else None
        return ConversationState(data, self._settings)

    def put(self, session: Session | None, state: ConversationState) -> bool:
        """Put what changed into the session's state; whether anything had."""
        if session is None or not state.changed:
            return False
        session.state[KEY] = state.to_dict()
        return True

    async def of_user(self, user: str) -> ConversationState:
        """The state of a user, wherever it is kept; empty if it cannot be read."""
        session = None
        if self.sessions is not None:
            try:
                session = await self.sessions.get_session(session_of(user), user_id=user, last=0)
            except Exception:  # a store may raise anything; the turn goes on without it
                log.exception("the state of a user's modules cannot be read")
        state = self.of_session(session)
        state.origin = session
        return state

    async def save_user(self, user: str, state: ConversationState) -> None:
        """Save what changed of a user's state; what others saved meanwhile stays.

        Raises:
            SessionError: it cannot be saved.
        """
        if self.sessions is None or not state.changed:
            return
        await self.save(session_of(user), user, state)

    async def save(self, name: str, user: str | None, state: ConversationState) -> None:
        """Save what changed into the session of this name, which is made if it is not there.

        Raises:
            SessionError: it cannot be saved.
        """
        if self.sessions is None:
            return
        session, state.origin = state.origin, None
        for attempt in range(TRIES):
            try:
                if session is None:
                    session = await self.sessions.get_session(
                        name, create_if_missing=True, user_id=user, last=0
                    )
                if session is None:
                    return
                session.state[KEY] = bring_to(session.state.get(KEY), state)
                await self.sessions.update_session(session)
            except SessionConflict:
                session = None
                if attempt == TRIES - 1:
                    raise
            else:
                state.changed.clear()
                return
