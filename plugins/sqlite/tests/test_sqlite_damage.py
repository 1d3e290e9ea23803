"""What is damaged is said to be, is left as it is, and harms no other session."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from dovetail import Session, SessionCorrupt
from plugins.sqlite.tests.samples import ask, history, turn, with_turns

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail_sqlite import SqliteSessions
    from plugins.sqlite.tests.conftest import Open

HEADS = {
    "state": ("'{\"a\": '", "its `state` cannot be read as JSON"),
    "preferences": ("'[1]'", "its `preferences` is no JSON object"),
    "auth_info": ("x'ff00'", "its `auth_info` cannot be read as JSON"),
    "created_at": ("'yesterday'", "its `created_at` is no number"),
    "expiry_at": ("9223372036854775807", "its `expiry_at` is no time"),
    "message_count": ("'many'", "its `message_count` is no number"),
    "user_id": ("CAST(x'ff' AS TEXT)", "can't decode byte"),
}
TURNS = {
    "it is cut off": ("messages = substr(messages, 1, 30)", "message 3 cannot be read: Invalid"),
    "it is no text": ("messages = CAST(x'ff00fe' AS TEXT)", "message 3 cannot be read: "),
    "a message is none": ("messages = '[{}]'", "message 3.role cannot be read: Field required"),
    "its last message is none": (
        "messages = replace(messages, '\"assistant\"', '\"oracle\"')",
        "message 4.role cannot be read: Input should be 'system', 'user'",
    ),
    "it has too few": ("messages = '[]'", "messages 3 to 4 are missing"),
    "it is elsewhere": ("place = place + 1", " messages "),
}


async def damaged(opened: Open, file: Path, change: str) -> SqliteSessions:
    """A store with session `a`, changed by another program, and session `b`."""
    store = await opened()
    session = Session(session_id="a", user_id="ada", auth_info={"level": 1}, state={"n": 1})
    session.expiry_at = session.created_at + timedelta(hours=1)
    for number in range(3):
        await store.append(session, turn(number))
    await with_turns(store, "b", 1)
    await store.stop()
    ask(file, change)
    return await opened()


@pytest.mark.parametrize("column", HEADS)
async def test_a_damaged_session_is_an_error_that_says_what_to_do(
    opened: Open, file: Path, column: str
) -> None:
    value, said = HEADS[column]
    change = f"UPDATE sessions SET {column} = {value} WHERE session_id = 'a'"
    store = await damaged(opened, file, change)
    before = ask(file, "SELECT hex(state), hex(preferences), hex(auth_info) FROM sessions")
    for last in (0, 1, None):
        with pytest.raises(SessionCorrupt) as caught:
            await store.load("a", last)
        assert said in str(caught.value)
        assert "session `a` is damaged" in str(caught.value)
        assert "dovetail sessions delete a" in str(caught.value)
        assert caught.value.user_id == ("ada" if column != "user_id" else "\ufffd")
    after = ask(file, "SELECT hex(state), hex(preferences), hex(auth_info) FROM sessions")
    assert after == before


@pytest.mark.parametrize("column", HEADS)
async def test_a_damaged_session_harms_no_other_and_can_be_removed(
    opened: Open, file: Path, column: str
) -> None:
    change = f"UPDATE sessions SET {column} = {HEADS[column][0]} WHERE session_id = 'a'"
    store = await damaged(opened, file, change)
    assert await history(store, "b") == ["question 0", "answer 0"]
    found = await store.list_sessions(every_user=True)
    assert [(session.session_id, session.version) for session in found] == [("a", 0), ("b", 1)]
    over = Session(session_id="over", expiry_at=found[1].created_at)
    await store.append(over, turn(0))
    assert await store.cleanup_expired() == 1
    assert await store.delete("a") is True
    assert [session.session_id for session in await store.list_sessions(every_user=True)] == ["b"]
    assert ask(file, "SELECT count(*) FROM turns") == [(1,)]


@pytest.mark.parametrize("kind", TURNS)
async def test_a_damaged_message_is_an_error_that_says_which(
    opened: Open, file: Path, kind: str
) -> None:
    change, said = TURNS[kind]
    second = "place = (SELECT place FROM turns ORDER BY place LIMIT 1 OFFSET 1)"
    store = await damaged(opened, file, f"UPDATE turns SET {change} WHERE {second}")
    for last in (3, None):
        with pytest.raises(SessionCorrupt) as caught:
            await store.load("a", last)
        assert said in str(caught.value)
        assert "question" not in str(caught.value), "what was said is nobody else's business"
        assert caught.value.user_id == "ada"
    assert await history(store, "a", 2) == ["question 2", "answer 2"]
    head = await store.load("a", 0)
    assert head is not None
    assert (head.state, head.message_count) == ({"n": 1}, 6)
    assert await history(store, "b") == ["question 0", "answer 0"]
    assert await store.delete("a") is True
    assert await store.load("a") is None


async def test_missing_messages_are_missed(opened: Open, file: Path) -> None:
    store = await damaged(opened, file, "DELETE FROM turns WHERE place < 3 << 32")
    with pytest.raises(SessionCorrupt, match="messages 1 to 6 are missing"):
        await store.load("a")


@pytest.mark.parametrize("count", [4, -1, 1 << 40])
async def test_a_wrong_count_lets_nothing_be_written_over(
    opened: Open, file: Path, count: int
) -> None:
    change = f"UPDATE sessions SET message_count = {count} WHERE session_id = 'a'"
    store = await damaged(opened, file, change)
    before = ask(file, "SELECT * FROM turns")
    session = Session(session_id="a", user_id="ada")
    with pytest.raises(SessionCorrupt, match="session `a` is damaged"):
        await store.append(session, turn(9))
    assert ask(file, "SELECT * FROM turns") == before
    assert ask(file, "SELECT message_count FROM sessions WHERE session_id = 'a'") == [(count,)]
    assert await history(store, "b") == ["question 0", "answer 0"]


async def test_a_session_that_is_remembered_and_then_damaged_is_said_to_be(
    store: SqliteSessions, file: Path
) -> None:
    await with_turns(store, "a", 2)
    assert len(await history(store, "a")) == 4
    ask(file, "UPDATE sessions SET state = 'x'")
    with pytest.raises(SessionCorrupt, match="`state`"):
        await store.load("a")
