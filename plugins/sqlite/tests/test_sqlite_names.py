"""Whatever a session is called and whatever it holds is kept exactly, or refused in words."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest

from dovetail import ChatMessage, MessageRole, Session, SessionError, ToolCall
from plugins.sqlite.tests.samples import ask, history, turn

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail_sqlite import SqliteSessions

HALF = "\ud800"


@pytest.mark.parametrize(
    "id_",
    ["", "a\0b", "a\0c", "\0", "../../../etc/passwd", "%_*?[]", "a'b\"c`d", "\u202e", "x" * 10**7],
    ids=lambda id_: f"{id_[:10]!r}",
)
async def test_an_id_is_only_a_name(store: SqliteSessions, file: Path, id_: str) -> None:
    others = ["a", "a\0", "\0\0", "x"]
    for name in (id_, *others):
        await store.append(Session(session_id=name, user_id=name), [ChatMessage.user(name[:5])])
    assert await history(store, id_) == [id_[:5]]
    listed = [session.session_id for session in await store.list_sessions(id_)]
    assert listed == ([id_] if id_ else []), "an empty one is before the first page"
    assert await store.acquire_lease(id_, "me", 30) is True
    assert await store.delete(id_) is True
    assert await store.load(id_) is None
    assert [await history(store, name) for name in others] == [[name[:5]] for name in others]
    assert [path.name for path in file.parent.iterdir() if "sessions" not in path.name] == []


async def test_an_id_that_no_text_can_hold_is_refused(store: SqliteSessions) -> None:
    for asked in (
        store.append(Session(session_id=HALF), turn(0)),
        store.set(Session(session_id="a", user_id=HALF)),
        store.load(HALF),
        store.delete(HALF),
        store.acquire_lease(HALF, "me", 1),
        store.list_sessions(HALF),
    ):
        with pytest.raises(SessionError) as caught:
            await asked
        assert "cannot hold this" in str(caught.value)
        str(caught.value).encode()
    assert await store.list_sessions(every_user=True) == []


async def test_state_is_kept_whatever_json_has(store: SqliteSessions, file: Path) -> None:
    state = {"nul": "a\0b", "half": HALF, HALF: [1, 2.5, None, True], "big": 10**30, "": {}}
    state["infinite"] = math.inf
    await store.set(Session(session_id="a", state=state, preferences=state, auth_info=state))
    found = await store.load("a")
    assert found is not None
    assert found.state == found.preferences == found.auth_info == state
    assert [kind for (kind,) in ask(file, "SELECT typeof(state) FROM sessions")] == ["text"]


async def test_an_empty_auth_info_is_not_none(store: SqliteSessions) -> None:
    await store.set(Session(session_id="a", auth_info={}))
    found = await store.load("a")
    assert found is not None
    assert found.auth_info == {}


async def test_what_json_has_not_is_refused(store: SqliteSessions) -> None:
    endless: list[object] = []
    endless.append(endless)
    for value in ({1, 2}, object(), endless, b"bytes"):
        with pytest.raises(SessionError, match="put in only what JSON has"):
            await store.set(Session(session_id="a", state={"value": value}))
    with pytest.raises(SessionError, match="a message of session `a` cannot be written as JSON"):
        await store.append(Session(session_id="a"), [ChatMessage(role=MessageRole.USER, name=HALF)])
    assert await store.load("a") is None


async def test_messages_are_plain_json_in_the_file(store: SqliteSessions, file: Path) -> None:
    call = ToolCall(id="1", name="weather", extras={"nul": "\0", "deep": [{"a": 1}]})
    said = [
        ChatMessage(role=MessageRole.ASSISTANT, tool_calls=(call,)),
        ChatMessage.user("a\0b 💬"),
    ]
    await store.append(Session(session_id="a"), said)
    assert [kind for (kind,) in ask(file, "SELECT typeof(messages) FROM turns")] == ["text"]
    ((kept,),) = ask(file, "SELECT messages FROM turns")
    assert [message["content"] for message in json.loads(kept)] == ["", "a\0b 💬"]
    found = await store.load("a")
    assert found is not None
    assert found.history == said


async def test_an_append_of_nothing_keeps_the_times(store: SqliteSessions) -> None:
    session = Session(session_id="a")
    await store.append(session, [])
    session.touch()
    await store.append(session, [])
    found = await store.load("a")
    assert found is not None
    assert (found.last_accessed_at, found.message_count) == (session.last_accessed_at, 0)
