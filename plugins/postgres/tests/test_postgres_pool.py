"""The pool that the plugin's components share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dovetail import Kernel, StartError
from dovetail.testing import FakeModel, fake_plugin
from dovetail_postgres import PostgresSessionStore

if TYPE_CHECKING:
    from plugins.postgres.tests.server import Server


def kernel(**tables: Any) -> Kernel:
    config = {"chat": {"model": "fake"}, "providers": {"fake": {}}, **tables}
    return Kernel.open(config, env={}).register("fake", fake_plugin(FakeModel()))


async def test_sessions_use_the_plugins_pool_unless_they_have_keys_of_their_own(
    server: Server, schema: str
) -> None:
    shared = {"postgres": {"url": server.url, "schema": schema}}
    async with kernel(sessions={"use": "postgres"}, plugins=shared) as opened:
        store = opened.sessions.store
        assert isinstance(store, PostgresSessionStore)
        assert await store.shared.open() is await store.shared.open()
        await opened.chat("Hello", session="s")
    own = {"use": "postgres", "url": server.url, "schema": schema}
    async with kernel(sessions=own) as opened:
        found = await opened.sessions.get_session("s")
        assert found is not None
        assert found.message_count == 2


async def test_a_mistake_in_the_plugins_table_is_told_with_its_place() -> None:
    with pytest.raises(StartError, match=r"\[plugins.postgres\] pool_size"):
        await kernel(sessions={"use": "postgres"}, plugins={"postgres": {"pool_size": 0}}).start()


async def test_a_server_that_is_away_is_told_once(server: Server) -> None:
    away = {"postgres": {"url": "postgresql://127.0.0.1:1/x", "retry_for": 0}}
    with pytest.raises(StartError) as caught:
        await kernel(sessions={"use": "postgres"}, plugins=away).start()
    assert str(caught.value).count("PostgreSQL at") == 1
