"""What somebody else wrote into a session's keys spoils that session alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import pytest
import structlog

from dovetail import SessionCorrupt
from plugins.redis.tests.sayings import an_hour_long, now, said, turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from redis import Redis

    from dovetail_redis import RedisSessionStore
    from plugins.redis.tests.servers import RedisServer

    Spoil: TypeAlias = Callable[[Redis, str], object]

HEADS: dict[str, Spoil] = {
    "a state that is no JSON": lambda r, head: r.hset(head, "state", '{"n": '),
    "a state that is a list": lambda r, head: r.hset(head, "state", "[1]"),
    "a time that is no number": lambda r, head: r.hset(head, "accessed", "yesterday"),
    "an end that is no number": lambda r, head: r.hset(head, "expires", "tomorrow"),
    "a time beyond all times": lambda r, head: r.hset(head, "created", "9" * 30),
    "no version": lambda r, head: r.hdel(head, "version"),
    "a line feed": lambda r, head: r.hset(head, "preferences", "{}\n{}"),
    "bytes that are no text": lambda r, head: r.hset(head, "auth", b"\xff\xfe"),
}
OWNERLESS: dict[str, Spoil] = {
    "no user": lambda r, head: r.hdel(head, "user"),
    "another kind of value": lambda r, head: (r.delete(head), r.set(head, "x")),
}
MESSAGES: dict[str, Spoil] = {
    "no JSON": lambda r, head: r.lset(f"{head}:messages", 1, '{"role":"user","con'),
    "no message": lambda r, head: r.lset(f"{head}:messages", 1, '{"role":"nobody"}'),
    "nothing": lambda r, head: r.lset(f"{head}:messages", 1, ""),
}


@pytest.fixture
def client(shared: RedisServer) -> Iterator[Redis]:
    with shared.client as client:
        yield client


@pytest.fixture
async def head(store: RedisSessionStore, prefix: str) -> str:
    """The key of a session of Ada's with two turns, beside one that is sound."""
    for name in ("spoilt", "sound"):
        session = an_hour_long(name, "ada")
        await store.append(session, turn(0))
        await store.append(session, turn(1))
    return f"{prefix}{{session:spoilt}}"


async def still_works(store: RedisSessionStore) -> None:
    """The rest of the store, and whatever removes the session."""
    sound = await store.load("sound")
    assert sound is not None
    assert len(await said(store, sound)) == 4
    for page in (await store.list_sessions("ada"), await store.list_sessions(every_user=True)):
        assert "sound" in [session.session_id for session in page]
    assert await store.cleanup_expired() == 0
    assert await store.delete("spoilt") is True
    assert await store.delete("spoilt") is False
    await store.append(an_hour_long("spoilt", "bob"), turn(2))
    assert [s.message_count for s in await store.list_sessions("bob")] == [2]


@pytest.mark.parametrize("spoil", HEADS.values(), ids=HEADS)
async def test_a_spoilt_head_is_reported_with_its_owner(
    store: RedisSessionStore, client: Redis, head: str, spoil: Spoil
) -> None:
    spoil(client, head)
    before = client.hgetall(head)
    with pytest.raises(SessionCorrupt, match="session `spoilt` cannot be understood") as caught:
        await store.load("spoilt", 0)
    assert caught.value.user_id == "ada"
    assert "`dovetail sessions delete`" in str(caught.value)
    assert client.hgetall(head) == before
    with structlog.testing.capture_logs() as logs:
        await store.list_sessions("ada")
    assert ["`spoilt`" in line["reason"] for line in logs] == [True]
    await still_works(store)


@pytest.mark.parametrize("spoil", OWNERLESS.values(), ids=OWNERLESS)
async def test_what_is_nobodys_session_is_neither_read_nor_written(
    store: RedisSessionStore, client: Redis, head: str, spoil: Spoil
) -> None:
    spoil(client, head)
    before = client.dump(head), client.lrange(f"{head}:messages", 0, -1)
    session = an_hour_long("spoilt", "ada")
    for using in (
        store.load("spoilt"),
        store.load("spoilt", 0),
        store.append(session, turn(2)),
        store.set(session),
    ):
        with pytest.raises(SessionCorrupt) as caught:
            await using
        assert caught.value.user_id is None
    assert (client.dump(head), client.lrange(f"{head}:messages", 0, -1)) == before
    await still_works(store)


@pytest.mark.parametrize("spoil", MESSAGES.values(), ids=MESSAGES)
async def test_a_spoilt_message_leaves_the_head_and_what_follows_readable(
    store: RedisSessionStore, client: Redis, head: str, spoil: Spoil
) -> None:
    spoil(client, head)
    before = client.lrange(f"{head}:messages", 0, -1)
    with pytest.raises(SessionCorrupt, match="of the messages") as caught:
        await store.load("spoilt")
    assert caught.value.user_id == "ada"
    found = await store.load("spoilt", 0)
    assert found is not None
    assert (found.user_id, found.message_count) == ("ada", 4)
    tail = await store.load("spoilt", 2)
    assert tail is not None
    assert tail.history == turn(1)
    assert client.lrange(f"{head}:messages", 0, -1) == before
    await still_works(store)


async def test_a_row_cannot_smuggle_others_in(
    store: RedisSessionStore, client: Redis, head: str
) -> None:
    row = '{"role":"user","content":"Hello"}'
    client.lset(f"{head}:messages", 0, f"{row},{row}")
    with pytest.raises(SessionCorrupt, match="5 messages where 4 are counted"):
        await store.load("spoilt")


async def test_messages_that_are_no_list_leave_the_head_readable(
    store: RedisSessionStore, client: Redis, head: str
) -> None:
    client.delete(f"{head}:messages")
    client.set(f"{head}:messages", "x")
    found = await store.load("spoilt", 0)
    assert found is not None
    assert (found.user_id, found.message_count) == ("ada", 0)
    with pytest.raises(SessionCorrupt, match="its messages are no list"):
        await store.load("spoilt")
    with pytest.raises(SessionCorrupt):
        await store.append(found, turn(2))
    await still_works(store)


async def test_an_error_shows_nothing_of_what_was_said(
    store: RedisSessionStore, client: Redis, head: str
) -> None:
    client.rpush(f"{head}:messages", '{"role":"nobody","content":"my deepest secret"}')
    client.hset(head, "state", '{"n": "my deepest secret"')
    for last in (0, 1):
        with pytest.raises(SessionCorrupt) as caught:
            await store.load("spoilt", last)
        assert "deepest" not in str(caught.value)


async def test_a_spoilt_session_is_dropped_when_its_time_is_over(
    store: RedisSessionStore, client: Redis, prefix: str
) -> None:
    session = an_hour_long("spoilt")
    session.expiry_at = now()
    await store.append(session, turn(0))
    client.hset(f"{prefix}{{session:spoilt}}", "state", "{")
    assert await store.cleanup_expired() == 1
    assert client.exists(f"{prefix}{{session:spoilt}}") == 0
