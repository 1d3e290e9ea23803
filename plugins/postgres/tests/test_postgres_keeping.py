"""What is kept comes back as it was, and keeping more costs no more."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import ChatMessage, MessageRole, SessionError, ToolCall
from dovetail_postgres.statements import Statements
from plugins.postgres.tests.sayings import loaded, said, session, turn

if TYPE_CHECKING:
    from dovetail_postgres import PostgresSessionStore
    from plugins.postgres.tests.conftest import Open
    from plugins.postgres.tests.wire import Wire

STRANGE: dict[str, Any] = {
    "nul": "\0",
    "key with \0": 1,
    "half a pair": "\ud83d",
    "a whole one": "👋",
    "an escape that is none": "\\u0000 \\ud83d",
    "floats": [1.0, 1e16, 1e22, 1e23, 1e308, 1e-300, -0.0, 0.1, 5e-324],
    "integers": [10**22, -(10**300), 0],
    "our own": {"dovetail:json": "{}"},
    "empty": {"": {}, "list": [], "none": None},
}


@pytest.mark.parametrize("name", STRANGE)
async def test_a_state_comes_back_to_the_last_bit(store: PostgresSessionStore, name: str) -> None:
    given = {name: STRANGE[name]}
    kept = await store.set(session(state=given, preferences=given, auth_info=given))
    for found in (kept, await loaded(store, kept)):
        assert repr((found.state, found.preferences, found.auth_info)) == repr((given,) * 3)


async def test_a_state_of_our_own_form_is_no_other(store: PostgresSessionStore) -> None:
    state = {"dovetail:json": json.dumps({"a": 1})}
    assert (await loaded(store, await store.set(session(state=state)))).state == state


async def test_a_state_can_be_asked_for_in_sql(store: PostgresSessionStore, sql: Any) -> None:
    kept = await store.set(session(state={"cart": {"items": 3}}))
    question = "SELECT state->'cart'->>'items' FROM dovetail.sessions WHERE session_id = $1"
    assert await sql.fetchval(question, kept.session_id) == "3"


@pytest.mark.parametrize(
    "value", [float("nan"), {1, 2}, object(), 10**5000], ids=["NaN", "set", "object", "digits"]
)
async def test_what_is_no_json_is_refused_and_nothing_is_kept(
    store: PostgresSessionStore, value: object
) -> None:
    bad = session(state={"value": value})
    expected = f"session `{bad.session_id}` cannot be kept: its `state` holds what JSON cannot"
    with pytest.raises(SessionError, match=expected):
        await store.set(bad)
    with pytest.raises(SessionError, match=expected):
        await store.append(bad, turn(0))
    assert await store.load(bad.session_id) is None


async def test_halves_of_surrogate_pairs_in_a_message_come_back(
    store: PostgresSessionStore,
) -> None:
    """A server may send such a thing as the id of a call."""
    messages = [
        ChatMessage(role=MessageRole.TOOL, content="22 °C", tool_call_id="\udc80", name="a\ud800b"),
        ChatMessage(
            role=MessageRole.ASSISTANT,
            tool_calls=(ToolCall(id="\ud800", name="weather"),),
            metadata={"deep": ["\udfff", {"n": 1.5}]},
        ),
        ChatMessage.user("Grüße"),
    ]
    kept = session()
    await store.append(kept, messages)
    assert (await loaded(store, kept)).history == messages


async def test_the_first_and_the_last_moment_come_back(store: PostgresSessionStore) -> None:
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    kept = await store.set(session(created_at=first, last_accessed_at=last, expiry_at=last))
    found = await loaded(store, kept)
    assert (found.created_at, found.last_accessed_at, found.expiry_at) == (first, last, last)


async def test_an_append_writes_its_own_messages_alone(
    store: PostgresSessionStore, sql: Any
) -> None:
    kept = session()
    await store.append(kept, turn(0))
    rows = (
        "SELECT position, messages.ctid::text, messages.xmin::text FROM dovetail.messages"
        " JOIN dovetail.sessions ON id = session WHERE session_id = $1 ORDER BY position"
    )
    before = await sql.fetch(rows, kept.session_id)
    await store.append(kept, turn(1))
    after = await sql.fetch(rows, kept.session_id)
    assert [row["position"] for row in after] == [1, 2, 3, 4]
    assert after[:2] == before


async def test_a_tail_is_read_without_what_comes_before(
    store: PostgresSessionStore, sql: Any
) -> None:
    kept = session()
    await store.append(kept, [message for number in range(1000) for message in turn(number)])
    question = "EXPLAIN (ANALYZE, FORMAT JSON) " + Statements("dovetail").load
    (plan,) = json.loads(await sql.fetchval(question, kept.session_id, 20))
    scans = [node for node in _nodes(plan["Plan"]) if node.get("Relation Name") == "messages"]
    assert [node["Actual Rows"] for node in scans] == [20]
    assert "Rows Removed by Filter" not in scans[0]
    assert "position" in json.dumps([node.get("Index Cond") for node in _nodes(plan["Plan"])])


async def test_a_turn_is_two_round_trips_however_long_the_history(opened: Open, wire: Wire) -> None:
    store = await opened(url=wire.url)
    kept = session()
    await store.append(kept, turn(0))  # creates it, and prepares a statement
    await store.append(await loaded(store, kept, 200), turn(1))  # prepares the others
    for number in (2, 3):
        before = wire.asked
        await store.append(await loaded(store, kept, 200), turn(number))
        assert wire.asked - before == 2
    assert len(await said(store, kept)) == 8


async def test_a_turn_may_outlast_the_time_of_its_session(store: PostgresSessionStore) -> None:
    """It began in time, so it is no new session that takes over the id."""
    kept = session(user_id="ada")
    await store.append(kept, turn(0))
    late = await loaded(store, kept)
    over = datetime.now(UTC) - timedelta(seconds=1)
    late.expiry_at = over
    await store.append(late, turn(1))
    late.expiry_at = datetime.now(UTC) + timedelta(hours=1)
    await store.append(late, turn(2))
    expected = [message.text for number in range(3) for message in turn(number)]
    assert await said(store, kept) == expected


async def test_an_empty_turn_only_takes_over_the_times(store: PostgresSessionStore) -> None:
    kept = session()
    await store.append(kept, [])
    await store.append(await loaded(store, kept), [])
    found = await loaded(store, kept)
    assert (found.history, found.message_count, found.version) == ([], 0, 1)


async def test_cleaning_up_goes_through_many(store: PostgresSessionStore) -> None:
    await store.cleanup_expired()
    over = datetime.now(UTC) - timedelta(seconds=1)
    for number in range(250):
        await store.append(session(expiry_at=over), turn(number))
    assert await store.cleanup_expired() == 250
    assert await store.cleanup_expired() == 0


async def test_cleaning_up_removes_leases_that_ended(store: PostgresSessionStore, sql: Any) -> None:
    await sql.execute("DELETE FROM dovetail.leases")
    await store.acquire_lease("ended", "a", 0)
    await store.acquire_lease("held", "a", 30)
    await store.cleanup_expired()
    assert await sql.fetchval("SELECT count(*) FROM dovetail.leases") == 1
    assert await store.acquire_lease("held", "b", 30) is False


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", []) for node in _nodes(child))]
