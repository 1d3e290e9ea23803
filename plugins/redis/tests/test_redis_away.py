"""A server that goes away and comes back loses nothing, and does nothing twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import redis

from dovetail import Kernel, SessionConflict, SessionError
from dovetail.testing import FakeModel, Gate, fake_plugin
from dovetail_redis.scripts import APPEND, DELETE, SET
from plugins.redis.tests.sayings import an_hour_long, said, turn
from plugins.redis.tests.servers import RedisServer
from plugins.redis.tests.wire import wire_to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dovetail_redis import RedisSessionStore
    from plugins.redis.tests.conftest import Open


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, which remembers what it has acknowledged."""
    server = RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    yield server.start()
    server.stop()


async def restarted(server: RedisServer) -> None:
    await asyncio.to_thread(server.start)


async def test_an_append_waits_for_a_server_that_comes_back(own: RedisServer, opened: Open) -> None:
    store = await opened(url=own.url, retry_for=20)
    session = an_hour_long()
    await store.append(session, turn(0))
    own.kill()
    waiting = asyncio.create_task(store.append(session, turn(1)))
    await restarted(own)
    await waiting
    assert await said(store, session) == ["question 0", "answer 0", "question 1", "answer 1"]


async def test_everything_waits_for_a_server_that_comes_back(
    own: RedisServer, opened: Open
) -> None:
    store = await opened(url=own.url, retry_for=20)
    session = await store.set(an_hour_long("work"))
    await store.set(an_hour_long("other"))
    own.kill()
    async with asyncio.TaskGroup() as group:
        loading = group.create_task(store.load("work"))
        setting = group.create_task(store.set(session))
        touching = group.create_task(store.touch(session))
        listing = group.create_task(store.list_sessions())
        deleting = group.create_task(store.delete("other"))
        cleaning = group.create_task(store.cleanup_expired())
        leasing = group.create_task(store.acquire_lease("work", "a", 30))
        await restarted(own)
    assert loading.result() is not None
    assert setting.result().version == 2
    assert touching.result() is True
    assert "work" in [s.session_id for s in listing.result()]
    assert deleting.result() is True
    assert cleaning.result() == 0
    assert leasing.result() is True


async def test_it_gives_up_and_says_where_and_what_to_do(own: RedisServer, opened: Open) -> None:
    url = own.url.replace("://", "://default:hunter22@")
    with own.client as client:
        client.config_set("requirepass", "hunter22")
    store = await opened(url=url, retry_for=0.3)
    own.kill()
    async with asyncio.timeout(20):
        with pytest.raises(SessionError) as caught:
            await store.append(an_hour_long(), turn(0))
    text = str(caught.value)
    assert text.startswith(f"Redis at {own.url} was away for 0.3 s: ")
    assert "see that it runs" in text
    assert "hunter22" not in text
    assert isinstance(caught.value.__cause__, redis.ConnectionError)


async def test_a_server_that_hangs_is_given_up_and_does_nothing_twice_afterwards(
    own: RedisServer, opened: Open
) -> None:
    store = await opened(url=own.url, retry_for=0.5, timeout=0.1)
    session = an_hour_long()
    await store.append(session, turn(0))
    own.pause()
    async with asyncio.timeout(20):
        with pytest.raises(SessionError, match=r"was away for 0\.5 s: it did not answer in time"):
            await store.append(session, turn(1))
    own.resume()
    await store.append(session, turn(2))
    texts = await said(store, session)
    assert texts[-2:] == ["question 2", "answer 2"]
    assert texts.count("question 1") <= 1, "what was sent several times was done several times"


async def test_an_append_whose_answer_is_lost_is_done_once(
    shared: RedisServer, opened: Open
) -> None:
    async with wire_to(shared.port) as wire:
        store = await opened(url=wire.url)
        session = an_hour_long()
        wire.lose(APPEND.sha, APPEND.sha)
        await store.append(session, turn(0))
        wire.lose(APPEND.sha)
        await store.append(session, turn(1))
        assert wire.lost == 3
        assert await said(store, session) == ["question 0", "answer 0", "question 1", "answer 1"]
        await store.stop()


async def test_a_hundred_appends_whose_answers_are_lost_are_each_done_once(
    shared: RedisServer, opened: Open
) -> None:
    async with wire_to(shared.port) as wire:
        store = await opened(url=wire.url, retry_for=20)
        session = an_hour_long()
        wire.lose(*[APPEND.sha] * 100)
        await asyncio.gather(*(store.append(session, turn(number)) for number in range(100)))
        assert wire.lost == 100
        texts = await said(store, session)
        assert sorted(texts) == sorted(m.text for n in range(100) for m in turn(n))
        await store.stop()


async def test_a_swap_whose_answer_is_lost_is_no_conflict(
    shared: RedisServer, opened: Open
) -> None:
    async with wire_to(shared.port) as wire:
        store = await opened(url=wire.url)
        wire.lose(SET.sha)
        session = await store.set(an_hour_long("work"))
        wire.lose(SET.sha)
        session.state["n"] = 1
        after = await store.set(session)
        assert (wire.lost, after.version, after.state) == (2, 2, {"n": 1})
        with pytest.raises(SessionConflict):
            await store.set(session)
        await store.stop()


async def test_a_removal_whose_answer_is_lost_removed_something(
    shared: RedisServer, opened: Open
) -> None:
    async with wire_to(shared.port) as wire:
        store = await opened(url=wire.url)
        await store.append(an_hour_long("work"), turn(0))
        wire.lose(DELETE.sha)
        assert await store.delete("work") is True
        assert await store.delete("work") is False
        assert wire.lost == 1
        await store.stop()


async def test_a_server_that_forgot_the_scripts_is_told_them_again(
    store: RedisSessionStore, shared: RedisServer
) -> None:
    session = an_hour_long()
    await store.append(session, turn(0))
    with shared.client as client:
        client.script_flush()
    await store.append(session, turn(1))
    with shared.client as client:
        client.script_flush()
    assert len(await store.list_sessions()) == 1
    assert len(await said(store, session)) == 4


async def test_connections_that_were_cut_while_idle_are_made_anew(
    own: RedisServer, opened: Open
) -> None:
    store = await opened(url=own.url)
    session = an_hour_long()
    await asyncio.gather(*(store.append(session, turn(number)) for number in range(10)))
    with own.client as client:
        client.client_kill_filter(_type="normal", skipme=True)
    await asyncio.gather(*(store.append(session, turn(number)) for number in range(10)))
    assert len(await said(store, session)) == 40


async def test_more_calls_than_connections_wait_their_turn(own: RedisServer, opened: Open) -> None:
    store = await opened(url=own.url, connections=2)
    with own.client as client:
        before = client.info("stats")["total_connections_received"]
    session = an_hour_long()
    await asyncio.gather(*(store.append(session, turn(number)) for number in range(50)))
    assert len(await said(store, session)) == 100
    with own.client as client:
        after = client.info("stats")["total_connections_received"]
    assert after - before <= 3, "two of the store's, and one of the test's"


async def test_a_call_that_is_broken_off_leaves_its_connection_usable(
    own: RedisServer, opened: Open
) -> None:
    store = await opened(url=own.url, connections=1)
    first, second = an_hour_long("first"), an_hour_long("second")
    await store.append(first, turn(1))
    await store.append(second, turn(2))
    own.pause()
    for rounds in range(10):  # at every step of it
        loading = asyncio.create_task(store.load("first"))
        for _ in range(rounds):
            await asyncio.sleep(0)
        loading.cancel()
        await asyncio.wait([loading], timeout=1)
        assert loading.cancelled(), f"it did not end when it was cancelled at step {rounds}"
    own.resume()
    assert await said(store, second) == ["question 2", "answer 2"]


async def test_a_stopped_store_says_so(opened: Open) -> None:
    store = await opened()
    await store.stop()
    with pytest.raises(SessionError, match="does not run"):
        await store.load("work")
    with pytest.raises(SessionError, match="does not run"):
        await store.list_sessions()


async def test_a_turn_outlives_a_server_that_is_away_in_its_middle(
    own: RedisServer, prefix: str
) -> None:
    gate = Gate()
    model = FakeModel("Hello Ada", [gate, "I am still here"])
    sessions = {"use": "redis", "url": own.url, "prefix": prefix, "retry_for": "20s"}
    config = {
        "kernel": {"commit_timeout": 30},
        "chat": {"model": "fake"},
        "providers": {"fake": {}},
        "sessions": sessions,
    }
    kernel = Kernel.open(config, env={})
    kernel.register("fake", fake_plugin(model))
    async with kernel:
        await kernel.chat("I am Ada", session="work")
        answering = asyncio.create_task(kernel.chat("Are you there?", session="work"))
        await gate.reached()
        own.kill()
        gate.open()
        await restarted(own)
        assert (await answering).text == "I am still here"
        session = await kernel.sessions.get_session("work")
    assert session is not None
    texts = [message.text for message in session.history]
    assert texts == ["I am Ada", "Hello Ada", "Are you there?", "I am still here"]
