"""What the tests of plugin `postgres` share: a real server, a wire to it, and stores."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from dovetail import new_id
from dovetail_postgres import PostgresPool, PostgresSessionStore, PostgresSettings
from dovetail_postgres.database import Database
from dovetail_postgres.vectors import PostgresVectors
from plugins.postgres.tests.server import Server, running_server
from plugins.postgres.tests.wire import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Open(Protocol):
    """Starts a store with these settings; it is stopped at the end of the test."""

    async def __call__(self, **settings: object) -> PostgresSessionStore: ...


class OpenDatabase(Protocol):
    """Opens a database with these settings; it is closed at the end of the test."""

    async def __call__(self, **settings: object) -> Database: ...


class OpenVectors(Protocol):
    """Opens vectors with these settings of the pool; it is closed at the end of the test."""

    async def __call__(self, **settings: object) -> PostgresVectors: ...


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
def schema() -> str:
    """One that no other test uses."""
    return f"test_{new_id().replace('-', '')}"


@pytest.fixture
async def opened(server: Server) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def start(**settings: object) -> PostgresSessionStore:
            store = PostgresSessionStore()
            store.settings = PostgresSettings.model_validate({"url": server.url, **settings})
            stack.push_async_callback(store.stop)
            await store.start()
            return store

        yield start


@pytest.fixture
async def opened_database(server: Server) -> AsyncIterator[OpenDatabase]:
    async with AsyncExitStack() as stack:

        async def open_(**settings: object) -> Database:
            database = Database(PostgresSettings.model_validate({"url": server.url, **settings}))
            stack.push_async_callback(database.close)
            await database.open()
            return database

        yield open_


@pytest.fixture
async def store(opened: Open) -> PostgresSessionStore:
    return await opened()


@pytest.fixture
async def opened_vectors(server: Server, schema: str) -> AsyncIterator[OpenVectors]:
    async with AsyncExitStack() as stack:

        async def open_(**settings: object) -> PostgresVectors:
            vectors = PostgresVectors()
            vectors.shared = PostgresPool()
            vectors.shared.settings = PostgresSettings.model_validate(
                {"url": server.url, "schema": schema, **settings}
            )
            stack.push_async_callback(vectors.shared.stop)
            await vectors.open()
            return vectors

        yield open_


@pytest.fixture
async def vectors(opened_vectors: OpenVectors) -> PostgresVectors:
    return await opened_vectors()


@pytest.fixture
async def sql(server: Server) -> AsyncIterator[Any]:
    """A connection of the test's own."""
    import asyncpg

    connection = await asyncpg.connect(server.url)
    yield connection
    await connection.close()


@pytest.fixture
async def wire(server: Server) -> AsyncIterator[Wire]:
    async with Wire(server.socket) as wire:
        yield wire
