"""What is kept where, and when Redis drops it by itself."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from dovetail_redis.records import GRACE
from plugins.redis.tests.sayings import AN_HOUR, an_hour_long, now, said, turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from dovetail_redis import RedisSessionStore
    from plugins.redis.tests.conftest import Open
    from plugins.redis.tests.servers import RedisServer


@pytest.fixture
def client(shared: RedisServer) -> Iterator[Redis]:
    with shared.client as client:
        yield client


def kept(shared: RedisServer, prefix: str) -> list[str]:
    """The names of all keys, but those by which calls are remembered for a while."""
    names = [key.decode().removeprefix(prefix) for key in shared.keys(f"{prefix}*")]
    return [name for name in names if ":call:" not in name]


async def test_a_session_is_a_hash_and_a_list(
    store: RedisSessionStore, shared: RedisServer, prefix: str, client: Redis
) -> None:
    await store.append(an_hour_long("work", "ada"), turn(0))
    assert kept(shared, prefix) == [
        "ends",
        "sessions",
        'sessions:"ada"',
        "{session:work}",
        "{session:work}:messages",
    ]
    assert client.lrange(f"{prefix}{{session:work}}:messages", 0, -1) == [
        b'{"role":"user","content":"question 0"}',
        b'{"role":"assistant","content":"answer 0"}',
    ]


async def test_a_turn_adds_its_messages_and_rewrites_none(
    store: RedisSessionStore, prefix: str, client: Redis
) -> None:
    session = an_hour_long("work")
    await store.append(session, turn(0) * 500)
    client.config_resetstat()
    await store.append(session, turn(1))
    await store.load("work", 2)
    stats = client.info("commandstats")
    assert stats["cmdstat_rpush"]["calls"] == 1
    assert stats["cmdstat_evalsha"]["calls"] == 2, "a turn is two round trips"
    assert client.llen(f"{prefix}{{session:work}}:messages") == 1002


async def test_redis_drops_all_of_a_session_by_itself(
    store: RedisSessionStore, prefix: str, client: Redis
) -> None:
    session = an_hour_long("work")
    await store.append(session, turn(0))
    assert session.expiry_at is not None
    for key in ("{session:work}", "{session:work}:messages"):
        left = timedelta(milliseconds=client.pttl(prefix + key))
        spent = session.expiry_at + GRACE - now() - left
        assert abs(spent) < timedelta(seconds=30), f"{key} is dropped in {left}"


async def test_what_never_ends_is_never_dropped(
    store: RedisSessionStore, prefix: str, client: Redis
) -> None:
    session = an_hour_long("work")
    await store.append(session, turn(0))
    session.expiry_at = None
    await store.append(session, turn(1))
    assert client.pttl(f"{prefix}{{session:work}}") == -1
    assert client.pttl(f"{prefix}{{session:work}}:messages") == -1


async def test_touching_moves_the_end_of_all_keys(
    store: RedisSessionStore, prefix: str, client: Redis
) -> None:
    session = an_hour_long("work")
    await store.append(session, turn(0))
    session.expiry_at = now() + 5 * AN_HOUR
    assert await store.touch(session) is True
    four_hours = 4 * 3600 * 1000
    assert client.pttl(f"{prefix}{{session:work}}") > four_hours
    assert client.pttl(f"{prefix}{{session:work}}:messages") > four_hours


async def test_a_session_ends_by_the_microsecond_though_redis_has_it_still(
    store: RedisSessionStore, shared: RedisServer, prefix: str
) -> None:
    session = an_hour_long("work")
    session.expiry_at = now()
    await store.append(session, turn(0))
    assert await store.load("work") is None
    assert await store.list_sessions() == []
    assert await store.touch(session) is False
    assert "{session:work}:messages" in kept(shared, prefix)


async def test_a_turn_that_goes_on_beyond_the_end_loses_no_history(
    store: RedisSessionStore,
) -> None:
    session = an_hour_long("work")
    session.expiry_at = now()
    await store.append(session, turn(0))
    assert await store.list_sessions() == []  # looking does not unlist it
    session.expiry_at = now() + AN_HOUR
    await store.append(session, turn(1))
    assert await said(store, session) == ["question 0", "answer 0", "question 1", "answer 1"]
    assert [s.session_id for s in await store.list_sessions()] == ["work"]


async def test_one_that_begins_after_the_end_has_no_history(store: RedisSessionStore) -> None:
    session = an_hour_long("work")
    session.expiry_at = now()
    await store.append(session, turn(0))
    anew = an_hour_long("work")
    created = await store.set(anew)
    assert (created.version, created.message_count) == (1, 0)
    assert await said(store, anew) == []


async def test_what_redis_dropped_is_not_listed_and_its_entries_go(
    store: RedisSessionStore, shared: RedisServer, prefix: str
) -> None:
    for user in ("ada", None):
        gone = an_hour_long(f"of {user}", user)
        gone.expiry_at = now() - GRACE - timedelta(seconds=1)  # Redis drops it at once
        await store.append(gone, turn(0))
    assert kept(shared, prefix) == ["ends", "sessions", 'sessions:"ada"', "sessions:null"]
    assert await store.list_sessions("ada") == []
    assert await store.list_sessions(every_user=True) == []
    assert kept(shared, prefix) == ["ends", "sessions:null"]
    assert await store.cleanup_expired() == 0
    assert kept(shared, prefix) == []


async def test_cleaning_up_counts_what_it_removes(
    store: RedisSessionStore, shared: RedisServer, prefix: str
) -> None:
    for number in range(3):
        over = an_hour_long(f"over {number}", "ada")
        over.expiry_at = now()
        await store.append(over, turn(0))
    assert await store.cleanup_expired() == 3
    assert kept(shared, prefix) == []


async def test_cleaning_up_goes_on_beyond_one_page(
    store: RedisSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dovetail_redis.index.PAGE", 2)
    for number in range(5):
        over = an_hour_long(f"over {number}")
        over.expiry_at = now()
        await store.append(over, turn(0))
        over.expiry_at = now() + AN_HOUR
        if number % 2:
            await store.append(over, turn(1))  # it goes on, though it is listed by its first end
    assert await store.cleanup_expired() == 3
    assert [s.session_id for s in await store.list_sessions()] == ["over 1", "over 3"]


async def test_a_session_that_goes_on_is_looked_at_again_at_its_new_end(
    store: RedisSessionStore, prefix: str, client: Redis
) -> None:
    session = an_hour_long("work")
    session.expiry_at = now()
    await store.append(session, turn(0))
    session.expiry_at = now() + AN_HOUR
    await store.append(session, turn(1))
    assert await store.cleanup_expired() == 0
    end = session.expiry_at.timestamp() * 1_000_000
    assert client.zscore(f"{prefix}ends", "null\nwork") == pytest.approx(end, abs=1)


async def test_a_clock_that_is_ahead_of_the_servers_removes_nothing(
    store: RedisSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        await store.append(an_hour_long(f"work {number}"), turn(0))
    ahead = (now() + 2 * AN_HOUR).timestamp()
    monkeypatch.setattr("dovetail_redis.index.PAGE", 2)
    monkeypatch.setattr("dovetail_redis.index.time_ns", lambda: int(ahead * 1e9))
    async with asyncio.timeout(20):
        assert await store.cleanup_expired() == 0
    assert len(await store.list_sessions()) == 5


async def test_a_session_that_will_end_sooner_is_looked_at_sooner(
    store: RedisSessionStore,
) -> None:
    session = an_hour_long("work")
    session.expiry_at = None
    await store.append(session, turn(0))
    session.expiry_at = now()
    assert await store.touch(session) is True
    assert await store.cleanup_expired() == 1


async def test_a_name_that_went_to_another_user_is_listed_for_that_one_alone(
    store: RedisSessionStore, shared: RedisServer, prefix: str
) -> None:
    hers = an_hour_long("work", "ada")
    hers.expiry_at = now()
    await store.append(hers, turn(0))
    his = an_hour_long("work", "bob")
    await store.append(his, turn(1))
    assert await store.list_sessions("ada") == []
    assert await store.cleanup_expired() == 0
    assert [s.user_id for s in await store.list_sessions("bob")] == ["bob"]
    assert [s.user_id for s in await store.list_sessions(every_user=True)] == ["bob"]
    assert 'sessions:"ada"' not in kept(shared, prefix)


async def test_an_entry_taken_away_while_its_session_was_created_is_put_back(
    store: RedisSessionStore,
) -> None:
    await store.append(an_hour_long("work", "ada"), turn(0))
    await store.index.remove(b'"ada"', ["work", "another"])  # as if it had just not been there
    assert [s.session_id for s in await store.list_sessions("ada")] == ["work"]
    assert [s.session_id for s in await store.list_sessions(every_user=True)] == ["work"]


async def test_deleting_leaves_nothing_but_the_memory_of_the_call(
    store: RedisSessionStore, shared: RedisServer, prefix: str, client: Redis
) -> None:
    await store.append(an_hour_long("work", "ada"), turn(0))
    assert await store.delete("work") is True
    assert kept(shared, prefix) == []
    for key in shared.keys(f"{prefix}*"):
        assert 0 < client.pttl(key) <= 35_000


async def test_prefixes_are_apart(store: RedisSessionStore, opened: Open) -> None:
    other = await opened(prefix="test-other:")
    await store.append(an_hour_long("work"), turn(0))
    assert await other.load("work") is None
    assert await other.list_sessions(every_user=True) == []
    assert await other.acquire_lease("work", "a", 30) is True
    assert await store.acquire_lease("work", "b", 30) is True
    await other.release_lease("work", "a")


async def test_many_messages_are_kept_in_one_step(store: RedisSessionStore) -> None:
    session = an_hour_long()
    await store.append(session, turn(0) * 10_000)
    found = await store.load(session.session_id, 1)
    assert found is not None
    assert (found.message_count, found.history) == (20_000, turn(0)[1:])
