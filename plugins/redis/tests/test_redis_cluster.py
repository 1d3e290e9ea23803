"""A cluster keeps the same promises: each session in one place, and the lists elsewhere."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from dovetail import PluginError
from dovetail.testing import SessionStoreContract, Subject
from plugins.redis.tests.sayings import an_hour_long, now, said, turn
from plugins.redis.tests.servers import PATIENCE, RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plugins.redis.tests.conftest import Open

SLOTS = 16_384
BLOCK = 256


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    """Two nodes, each with every other block of slots, so that little is where all else is."""
    with ExitStack() as stack:
        found = []
        for name in ("one", "two"):
            node = RedisServer(tmp_path_factory.mktemp(name), "--cluster-enabled", "yes")
            stack.callback(node.stop)
            found.append(node.start())
        for number, node in enumerate(found):
            slots = [slot for slot in range(SLOTS) if slot // BLOCK % 2 == number]
            with node.client as client:
                client.execute_command("CLUSTER", "ADDSLOTS", *slots)
        with found[0].client as client:
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", found[1].port)
        for node in found:
            settled(node)
        yield found


def settled(node: RedisServer) -> None:
    limit = time.monotonic() + PATIENCE
    with node.client as client:
        while client.cluster("info")["cluster_state"] != "ok":
            assert time.monotonic() < limit, "the cluster does not come up"
            time.sleep(0.01)


class TestCluster(SessionStoreContract):
    durable = True

    @pytest.fixture
    def subject(self, nodes: list[RedisServer], prefix: str) -> Subject:
        return Subject("redis", {"url": nodes[0].url, "prefix": prefix})


async def test_a_sessions_keys_are_in_one_place_whatever_its_name(
    nodes: list[RedisServer], opened: Open, prefix: str
) -> None:
    store = await opened(url=nodes[0].url)
    names = ["}", "{", "{}", "}{", "a}b", "{a}b", "a{b", "%7D", "work"]
    for name in names:
        session = an_hour_long(name)
        await store.append(session, turn(0))
        session.expiry_at = now()
        await store.append(session, turn(1))
        session.expiry_at = an_hour_long().expiry_at
        await store.append(session, turn(2))
        assert len(await said(store, session)) == 6
    assert [s.session_id for s in await store.list_sessions()] == sorted(names)
    assert all(node.keys(f"{prefix}*") for node in nodes), "only one node has anything"
    for name in names:
        assert await store.delete(name) is True
    assert await store.list_sessions() == []


async def test_what_is_over_is_removed_on_every_node(
    nodes: list[RedisServer], opened: Open, prefix: str
) -> None:
    store = await opened(url=nodes[1].url)
    for number in range(20):
        over = an_hour_long(f"over {number}", "ada")
        over.expiry_at = now()
        await store.append(over, turn(0))
    assert await store.cleanup_expired() == 20
    left = [key for node in nodes for key in node.keys(f"{prefix}*") if b":call:" not in key]
    assert left == []


async def test_a_node_that_forgot_the_scripts_is_told_them_again(
    nodes: list[RedisServer], opened: Open
) -> None:
    store = await opened(url=nodes[0].url)
    sessions = [an_hour_long(f"work {number}") for number in range(10)]
    for session in sessions:
        await store.append(session, turn(0))
    for node in nodes:
        with node.client as client:
            client.script_flush()
    assert len(await store.list_sessions()) == 10
    for session in sessions:
        await store.append(session, turn(1))
        assert len(await said(store, session)) == 4


async def test_the_user_of_the_readme_can_keep_sessions_here_too(
    nodes: list[RedisServer], opened: Open, prefix: str
) -> None:
    rules = f"~{prefix}* +@read +@write +@scripting +@connection +time +info +cluster +command"
    url = with_user(nodes, rules)
    store = await opened(url=url)
    await store.append(an_hour_long("work"), turn(0))
    assert len(await store.list_sessions()) == 1
    assert await store.delete("work") is True


async def test_a_cluster_that_does_not_say_so_is_noticed(
    nodes: list[RedisServer], opened: Open
) -> None:
    url = with_user(nodes, "~* +@all -info")
    with pytest.raises(PluginError, match="it is a cluster and did not say so"):
        for _ in range(20):  # the key that is written first is by chance on this node or not
            await opened(url=url)


def with_user(nodes: list[RedisServer], rules: str) -> str:
    """The address of a node for a user who has just these rights on all."""
    for node in nodes:
        with node.client as client:
            client.execute_command(
                "ACL", "SETUSER", "ada", "reset", "on", ">hunter22", *rules.split()
            )
    return nodes[0].url.replace("://", "://ada:hunter22@")
