"""What somebody broke in the database is told, left as it is, and stands in nobody's way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import SessionCorrupt, new_id
from plugins.postgres.tests.sayings import loaded, said, session, turn

if TYPE_CHECKING:
    from dovetail import Session
    from dovetail_postgres import PostgresSessionStore

OF_SESSION = "session = (SELECT id FROM dovetail.sessions WHERE session_id = $1)"
MESSAGE_2 = f"UPDATE dovetail.messages SET message = %s WHERE position = 2 AND {OF_SESSION}"
MESSAGES = {
    MESSAGE_2 % "'{\"role\": '": "message 2 cannot be read (Invalid JSON",
    MESSAGE_2 % "''": "message 2 cannot be read (Invalid JSON",
    MESSAGE_2 % '\'{"role": "king"}\'': "message 2 cannot be read (`role`: Input should be",
    MESSAGE_2 % '\'{"role": "user"},{"role": "user"}\'': "message 2 cannot be read (Inv",
    MESSAGE_2 % "repeat('[', 100000)": "message 2 cannot be read (Invalid JSON",
    f"DELETE FROM dovetail.messages WHERE position = 2 AND {OF_SESSION}": "3 of its last 4 mess",
}
HEAD = "UPDATE dovetail.sessions SET %s WHERE session_id = $1"
HEADS = {
    HEAD % "state = '[]'": "`state` holds list, not an object",
    HEAD % "preferences = '3'": "`preferences` holds int, not an object",
    HEAD % "auth_info = 'null'": "`auth_info` holds NoneType, not an object",
    HEAD % 'state = \'{"dovetail:json": "{"}\'': "`state` holds no JSON: Expecting",
    HEAD % "state = '{\"dovetail:json\": 3}'": "`state` holds no JSON: the JSON object must be",
}


@pytest.fixture
async def kept(store: PostgresSessionStore) -> Session:
    """A session of two turns, of a user of its own."""
    kept = await store.set(session(user_id=f"ada {new_id()}", state={"n": 1}, auth_info={"a": 1}))
    for number in range(2):
        await store.append(kept, turn(number))
    return await loaded(store, kept)


async def content(sql: Any, kept: Session) -> object:
    """Everything that is stored of a session."""
    head = "SELECT *, xmin::text FROM dovetail.sessions WHERE session_id = $1"
    body = f"SELECT *, xmin::text FROM dovetail.messages WHERE {OF_SESSION} ORDER BY position"
    return await sql.fetch(head, kept.session_id), await sql.fetch(body, kept.session_id)


@pytest.mark.parametrize("damage", [*MESSAGES, *HEADS])
async def test_it_is_told_what_is_wrong_whose_it_is_and_what_to_do(
    store: PostgresSessionStore, sql: Any, kept: Session, damage: str
) -> None:
    await sql.execute(damage.replace("$1", f"'{kept.session_id}'"))
    before = await content(sql, kept)
    with pytest.raises(SessionCorrupt) as caught:
        await store.load(kept.session_id)
    text = str(caught.value)
    start = f"session `{kept.session_id}` cannot be used, and is left as it is: "
    assert text.startswith(start + {**MESSAGES, **HEADS}[damage]), text
    assert text.endswith("remove it with `dovetail sessions delete`")
    assert caught.value.user_id == kept.user_id
    assert await content(sql, kept) == before


@pytest.mark.parametrize("damage", [*MESSAGES, *HEADS])
async def test_it_stands_in_nobodys_way(
    store: PostgresSessionStore, sql: Any, kept: Session, damage: str
) -> None:
    other = session(user_id=kept.user_id)
    await store.append(other, turn(7))
    await sql.execute(damage.replace("$1", f"'{kept.session_id}'"))
    assert await said(store, other) == ["question 7", "answer 7"]
    listed = await store.list_sessions(kept.user_id)
    assert {s.session_id for s in listed} == {kept.session_id, other.session_id}
    assert await store.delete(kept.session_id) is True
    assert await store.load(kept.session_id) is None
    await store.append(kept, turn(8))
    assert await said(store, kept) == ["question 8", "answer 8"]


@pytest.mark.parametrize("damage", [*MESSAGES, *HEADS])
async def test_it_is_cleaned_up_when_its_time_is_over(
    store: PostgresSessionStore, sql: Any, kept: Session, damage: str
) -> None:
    kept.expiry_at = datetime.now(UTC) - timedelta(seconds=1)
    assert await store.touch(kept) is True
    await sql.execute(damage.replace("$1", f"'{kept.session_id}'"))
    assert await store.cleanup_expired() >= 1
    assert [list(rows) for rows in await content(sql, kept)] == [[], []]  # type: ignore[attr-defined]


@pytest.mark.parametrize("damage", MESSAGES)
async def test_a_broken_message_leaves_the_rest_readable(
    store: PostgresSessionStore, sql: Any, kept: Session, damage: str
) -> None:
    await sql.execute(damage.replace("$1", f"'{kept.session_id}'"))
    assert (await loaded(store, kept, 0)).state == {"n": 1}
    assert [m.text for m in (await loaded(store, kept, 2)).history] == ["question 1", "answer 1"]


async def test_an_append_after_messages_that_are_not_counted_is_refused(
    store: PostgresSessionStore, sql: Any, kept: Session
) -> None:
    await sql.execute(HEAD % "message_count = 1", kept.session_id)
    before = await content(sql, kept)
    with pytest.raises(SessionCorrupt, match="it has more messages than it counts"):
        await store.append(kept, turn(2))
    assert await content(sql, kept) == before


@pytest.mark.parametrize("column", ["created_at", "last_accessed_at", "expiry_at"])
@pytest.mark.parametrize("year", ["20000-01-01Z", "0044-03-15Z BC"])
async def test_a_time_that_python_cannot_hold_is_refused_by_the_database(
    sql: Any, kept: Session, column: str, year: str
) -> None:
    import asyncpg

    with pytest.raises(asyncpg.CheckViolationError):
        await sql.execute(HEAD % f"{column} = '{year}'", kept.session_id)
