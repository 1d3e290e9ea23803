"""A server that cannot keep sessions: what is wrong, where, and what to do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import structlog

from dovetail import Kernel, NotReady, PluginError, SessionError, StartError
from dovetail.testing import FakeModel, fake_plugin
from plugins.redis.tests.sayings import an_hour_long, said, turn
from plugins.redis.tests.servers import RedisServer
from plugins.redis.tests.wire import answering

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from plugins.redis.tests.conftest import Open


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, to be spoilt."""
    server = RedisServer(tmp_path)
    yield server.start()
    server.stop()


def as_user(server: RedisServer, user: str, password: str) -> str:
    return server.url.replace("://", f"://{user}:{password}@")


async def test_nobody_who_listens_is_not_ready(own: RedisServer, opened: Open) -> None:
    own.stop()
    with pytest.raises(NotReady) as caught:
        await opened(url=as_user(own, "me", "hunter22"))
    text = str(caught.value)
    assert text.startswith(f"Redis at {own.url} cannot be used: ")
    assert "see that it runs, and that `url` of [sessions] is where it listens" in text
    assert "hunter22" not in text


async def test_a_socket_that_is_not_there_is_not_ready(tmp_path: Path, opened: Open) -> None:
    with pytest.raises(NotReady, match=r"Redis at unix:///.*none\.sock cannot be used"):
        await opened(url=f"unix://{tmp_path}/none.sock")


async def test_a_server_that_says_nothing_is_not_ready(opened: Open) -> None:
    async with answering(b"") as url, asyncio.timeout(20):
        with pytest.raises(NotReady, match="did not answer in time"):
            await opened(url=url, timeout=0.1)


async def test_a_server_that_is_none_of_redis_is_refused(opened: Open) -> None:
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        with pytest.raises(PluginError, match="see that `url` of \\[sessions\\] is a Redis") as no:
            await opened(url=url)
    assert not isinstance(no.value, NotReady)


async def test_a_server_without_tls_is_refused_by_one_who_wants_it(
    shared: RedisServer, opened: Open
) -> None:
    with pytest.raises(NotReady, match=r"Redis at rediss://127\.0\.0\.1:"):
        await opened(url=shared.url.replace("redis://", "rediss://"), timeout=0.3)


@pytest.mark.parametrize("who", ["", ":not-hunter22@", "nobody:not-hunter22@"])
async def test_a_wrong_password_is_said_and_not_shown(
    own: RedisServer, opened: Open, who: str
) -> None:
    with own.client as client:
        client.config_set("requirepass", "hunter22")
    with pytest.raises(PluginError, match="which are to stand in `url` of") as caught:
        await opened(url=own.url.replace("://", f"://{who}"))
    assert not isinstance(caught.value, NotReady), "trying again would not help"
    assert "hunter22" not in str(caught.value)


async def test_a_password_that_is_changed_meanwhile_is_said_at_once(
    own: RedisServer, opened: Open
) -> None:
    store = await opened(url=own.url, retry_for=60)
    with own.client as client:
        client.config_set("requirepass", "hunter22")
        client.client_kill_filter(_type="normal", skipme=True)
    async with asyncio.timeout(20):
        with pytest.raises(SessionError, match="refuses the user or the password"):
            await store.load("work")


@pytest.mark.parametrize("rules", ["~other:* +@all", "~* +@all -@write", "~* +@all -@scripting"])
async def test_a_user_who_may_not_keep_sessions_is_told_so(
    own: RedisServer, opened: Open, rules: str
) -> None:
    with own.client as client:
        client.execute_command("ACL", "SETUSER", "ada", "on", ">hunter22", *rules.split())
    with pytest.raises(PluginError, match="its user may not do that") as caught:
        await opened(url=as_user(own, "ada", "hunter22"))
    assert not isinstance(caught.value, NotReady)


async def test_a_server_that_does_not_tell_of_itself_is_good_enough(
    own: RedisServer, opened: Open
) -> None:
    with own.client as client:
        client.execute_command("ACL", "SETUSER", "default", "-info")
    store = await opened(url=own.url)
    await store.append(an_hour_long("work"), turn(0))


async def test_a_replica_is_not_ready(own: RedisServer, shared: RedisServer, opened: Open) -> None:
    with own.client as client:
        client.replicaof("127.0.0.1", shared.port)
    with pytest.raises(NotReady, match="is a replica, which cannot be written: point `url`"):
        await opened(url=own.url)


async def test_a_server_that_becomes_a_replica_is_said_to_be_one(
    own: RedisServer, shared: RedisServer, opened: Open
) -> None:
    store = await opened(url=own.url, retry_for=0.3)
    with own.client as client:
        client.replicaof("127.0.0.1", shared.port)
    with pytest.raises(SessionError, match="it is a replica, which cannot be written"):
        await store.append(an_hour_long("work"), turn(0))


async def test_a_replica_that_becomes_the_primary_is_waited_for(
    own: RedisServer, shared: RedisServer, opened: Open
) -> None:
    store = await opened(url=own.url, retry_for=20)
    with own.client as client:
        client.replicaof("127.0.0.1", shared.port)
        appending = asyncio.create_task(store.append(an_hour_long("work"), turn(0)))
        await asyncio.wait([appending], timeout=0.1)
        assert not appending.done()
        client.replicaof("NO", "ONE")
    await appending
    assert await store.load("work") is not None


async def test_a_server_that_is_full_says_so_and_keeps_what_it_has(
    own: RedisServer, opened: Open
) -> None:
    store = await opened(url=own.url, retry_for=60)
    session = an_hour_long("work")
    await store.append(session, turn(0))
    with own.client as client:
        client.config_set("maxmemory", 1)
    async with asyncio.timeout(20):
        with pytest.raises(SessionError, match="its memory is full: raise its `maxmemory`"):
            await store.append(session, turn(1))
        with pytest.raises(SessionError, match="its memory is full"):
            await store.append(an_hour_long("new"), turn(1))
        with pytest.raises(NotReady, match="its memory is full"):
            await opened(url=own.url)
    assert await said(store, session) == ["question 0", "answer 0"]
    assert await store.load("new") is None
    assert await store.delete("new") is False, "half of it was kept"
    with own.client as client:
        client.config_set("maxmemory", 0)
    await store.append(session, turn(1))
    assert len(await said(store, session)) == 4


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_server_that_drops_keys_is_warned_of_once(
    own: RedisServer, opened: Open, policy: str
) -> None:
    with own.client as client:
        client.config_set("maxmemory-policy", policy)
        client.config_set("maxmemory", "100mb")
    with structlog.testing.capture_logs() as logs:
        store = await opened(url=own.url)
        await store.append(an_hour_long("work"), turn(0))
    (line,) = logs
    assert line["log_level"] == "warning"
    assert (line["policy"], line["address"]) == (policy, own.url)
    assert "set its `maxmemory-policy` to noeviction" in line["event"]


async def test_a_policy_without_a_limit_drops_nothing(own: RedisServer, opened: Open) -> None:
    with own.client as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    with structlog.testing.capture_logs() as logs:
        await opened(url=own.url)
    assert logs == []


async def test_a_server_that_is_too_old_is_refused(opened: Open) -> None:
    info = b"redis_version:4.0.14\r\nrole:master\r\n"
    async with answering(b"$%d\r\n%s\r\n" % (len(info), info)) as url:
        with pytest.raises(
            PluginError, match=r"is Redis 4\.0\.14, and sessions need 5\.0 or newer"
        ):
            await opened(url=url)


async def test_a_database_that_is_not_there_is_refused(own: RedisServer, opened: Open) -> None:
    with pytest.raises(PluginError, match=r"cannot be used: .*DB index is out of range"):
        await opened(url=own.url.replace("/0", "/99"))


async def test_an_option_that_nobody_knows_is_refused(shared: RedisServer, opened: Open) -> None:
    with pytest.raises(PluginError, match=r"see what is behind its `\?`"):
        await opened(url=f"{shared.url}?ssl_nonsense=1")


async def test_the_kernel_says_it_all_and_not_the_password(own: RedisServer) -> None:
    with own.client as client:
        client.config_set("requirepass", "hunter22")
    url = own.url.replace("://", "://:not-hunter22@")
    config = {
        "chat": {"model": "fake"},
        "providers": {"fake": {}},
        "sessions": {"use": "redis", "url": url},
    }
    kernel = Kernel.open(config, env={})
    kernel.register("fake", fake_plugin(FakeModel()))
    with pytest.raises(StartError) as caught:
        await kernel.start()
    await kernel.close()
    text = str(caught.value)
    assert f"Redis at {own.url} cannot be used" in text
    assert "refuses the user or the password, which are to stand in `url` of [sessions]" in text
    assert "hunter22" not in text
