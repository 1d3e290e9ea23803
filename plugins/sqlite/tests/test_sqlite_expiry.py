"""Sessions whose time is over."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from dovetail import Session
from dovetail_sqlite.writing import remove_expired
from plugins.sqlite.tests.samples import ask, history, texts, turn, with_turns

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail_sqlite import SqliteSessions


async def test_a_session_whose_time_ends_during_its_turn_goes_on(store: SqliteSessions) -> None:
    session = Session(session_id="a", user_id="ada")
    session.expiry_at = session.created_at - timedelta(seconds=1)
    await store.append(session, turn(0))
    session.expiry_at = session.created_at + timedelta(hours=1)
    await store.append(session, turn(1))
    assert await history(store, "a") == texts([*turn(0), *turn(1)])


async def test_one_that_is_made_after_it_has_its_name_and_nothing_else(
    store: SqliteSessions, file: Path
) -> None:
    session = Session(session_id="a", user_id="ada", state={"old": True})
    session.expiry_at = session.created_at - timedelta(seconds=1)
    await store.append(session, turn(0))
    await store.append(Session(session_id="a", user_id="ada"), turn(1))
    found = await store.load("a")
    assert found is not None
    assert (found.state, texts(found.history)) == ({}, texts(turn(1)))
    assert ask(file, "SELECT count(*) FROM turns") == [(1,)]


async def test_one_that_is_used_while_it_is_cleaned_up_stays(
    store: SqliteSessions, file: Path
) -> None:
    await with_turns(store, "a", 1)
    keys = [key for (key,) in ask(file, "SELECT key FROM sessions")]
    assert store.database is not None
    assert await store.database.write(partial(remove_expired, keys=keys)) == 0
    assert await history(store, "a") == texts(turn(0))


async def test_many_that_are_over_are_removed_in_steps(store: SqliteSessions, file: Path) -> None:
    over = Session().created_at - timedelta(seconds=1)
    sessions = [Session(session_id=f"{number}", expiry_at=over) for number in range(450)]
    await asyncio.gather(*(store.append(session, turn(0)) for session in sessions))
    await store.append(Session(session_id="alive"), turn(0))
    assert await store.cleanup_expired() == 450
    assert ask(file, "SELECT session_id FROM sessions") == [("alive",)]
    assert ask(file, "SELECT count(*) FROM turns") == [(1,)]
