"""What the tests of plugin `redis` share: a real server, and stores that use it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from dovetail import new_id
from dovetail_redis import RedisSessionStore, RedisSettings
from plugins.redis.tests.servers import RedisServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Open(Protocol):
    """Starts a store with these settings; it is stopped at the end of the test."""

    async def __call__(self, **settings: object) -> RedisSessionStore: ...


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server for all tests that neither stop it nor fill it."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), "--appendonly", "no")
    yield server.start()
    server.stop()


@pytest.fixture
def prefix() -> str:
    """A test's own part of a server."""
    return f"test-{new_id()}:"


@pytest.fixture
async def opened(shared: RedisServer, prefix: str) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def start(**settings: object) -> RedisSessionStore:
            store = RedisSessionStore()
            known = {"url": shared.url, "prefix": prefix}
            store.settings = RedisSettings.model_validate({**known, **settings})
            stack.push_async_callback(store.stop)
            await store.start()
            return store

        yield start


@pytest.fixture
async def store(opened: Open) -> RedisSessionStore:
    """A store in a part of the shared server that is empty."""
    return await opened()
