"""Saving what a turn changed in its session's state, beside others who change it too."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from dovetail.errors import SessionConflict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dovetail.sessions.manager import SessionManager
    from dovetail.sessions.session import Session

TRIES = 5
"""How often a change is brought to what others have saved meanwhile."""


async def save_state(sessions: SessionManager, session: Session, before: Mapping[str, Any]) -> None:
    """Save the keys of the state that differ from what they were `before`.

    Where somebody else has saved meanwhile, only these keys are brought to what is stored now.

    Raises:
        SessionConflict: others save it all the time.
    """
    changed = {
        key: deepcopy(value)
        for key, value in session.state.items()
        if key not in before or before[key] != value
    }
    removed = [key for key in before if key not in session.state]
    if not changed and not removed:
        return
    # What `append` created has a version that only the store knows.
    current = session if session.version else None
    for attempt in range(TRIES):
        if current is None:
            current = await sessions.store.load(session.session_id, 0)
            if current is None:
                return  # it was deleted meanwhile, or its time is over
            current.state |= deepcopy(changed)
            for key in removed:
                current.state.pop(key, None)
        try:
            await sessions.update_session(current)
        except SessionConflict:
            current = None
            if attempt == TRIES - 1:
                raise
        else:
            return
