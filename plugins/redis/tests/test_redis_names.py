"""Ids, users and texts are only values, whatever is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dovetail import ChatMessage, SessionError
from plugins.redis.tests.sayings import an_hour_long, said, turn

if TYPE_CHECKING:
    from dovetail_redis import RedisSessionStore

NAMES = ["", "a\0b", "line\nfeed", "\ud800", "{", "}", "{}", "}{", "a}b{c", "%7B", "null", '"null"']


async def test_any_name_is_a_sessions(store: RedisSessionStore) -> None:
    for number, name in enumerate(NAMES):
        session = an_hour_long()
        session.session_id = name
        await store.append(session, turn(number))
    for number, name in enumerate(NAMES):
        found = await store.load(name)
        assert found is not None
        assert (found.session_id, found.history) == (name, turn(number))
    listed = [s.session_id for s in await store.list_sessions()]
    assert listed == sorted(NAMES)
    for name in NAMES:
        assert await store.acquire_lease(name, "a", 30) is True
        assert await store.delete(name) is True
    assert await store.list_sessions() == []


async def test_any_name_is_a_users(store: RedisSessionStore) -> None:
    users = [None, *NAMES]
    for user in users:
        await store.append(an_hour_long(f"of {user!r}", user), turn(0))
    for user in users:
        (found,) = await store.list_sessions(user)
        assert (found.session_id, found.user_id) == (f"of {user!r}", user)


async def test_a_name_of_ten_megabytes_is_only_long(store: RedisSessionStore) -> None:
    session = an_hour_long("x" * 10_000_000)
    await store.append(session, turn(0))
    assert await said(store, session) == ["question 0", "answer 0"]
    assert [s.session_id for s in await store.list_sessions()] == [session.session_id]
    assert await store.delete(session.session_id) is True


async def test_halves_of_pairs_in_a_state_come_back(store: RedisSessionStore) -> None:
    session = an_hour_long()
    session.state = {"half \ud800": "\udfff", "nul": "\0"}
    await store.set(session)
    found = await store.load(session.session_id)
    assert found is not None
    assert found.state == session.state


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}, b"bytes"])
async def test_a_state_that_is_no_json_is_refused(store: RedisSessionStore, value: Any) -> None:
    session = an_hour_long("work")
    session.state = {"value": value}
    with pytest.raises(SessionError, match="session `work` cannot be kept: its state"):
        await store.set(session)
    assert await store.load("work") is None


async def test_a_state_without_a_bottom_is_refused(store: RedisSessionStore) -> None:
    session = an_hour_long("work")
    session.state["state"] = session.state
    with pytest.raises(SessionError, match="must be JSON"):
        await store.append(session, turn(0))


async def test_a_time_without_a_zone_is_refused(store: RedisSessionStore) -> None:
    session = an_hour_long("work")
    session.created_at = session.created_at.replace(tzinfo=None)
    with pytest.raises(SessionError, match="its times aware"):
        await store.append(session, turn(0))


async def test_a_message_that_is_no_json_is_refused(store: RedisSessionStore) -> None:
    message = ChatMessage(role="user", content="Hello", name="half \ud800")  # type: ignore[arg-type]
    with pytest.raises(SessionError, match="a message of session `work` cannot be kept"):
        await store.append(an_hour_long("work"), [message])
    assert await store.load("work") is None
