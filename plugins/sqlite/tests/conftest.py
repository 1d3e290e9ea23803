"""What the tests of plugin `sqlite` share: stores on a file of the test's own."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from dovetail_sqlite import SqliteSessions, SqliteSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Open(Protocol):
    """Starts a store on `file` with these settings; it is stopped at the end of the test."""

    async def __call__(self, **settings: object) -> SqliteSessions: ...


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
async def opened(file: Path) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def start(**settings: object) -> SqliteSessions:
            store = SqliteSessions()
            store.settings = SqliteSettings.model_validate({"path": str(file), **settings})
            stack.push_async_callback(store.stop)
            await store.start()
            return store

        yield start


@pytest.fixture
async def store(opened: Open) -> SqliteSessions:
    return await opened()
