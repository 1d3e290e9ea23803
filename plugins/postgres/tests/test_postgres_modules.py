"""Modules in PostgreSQL."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from dovetail_postgres import PostgresModules, PostgresPool, PostgresSettings
from plugins.modules.tests.repository_contract import ModuleRepositoryContract

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from plugins.postgres.tests.server import Server


class TestPostgresModules(ModuleRepositoryContract):
    durable = True

    @pytest.fixture
    async def repository(self, server: Server, schema: str) -> AsyncIterator[PostgresModules]:
        async with opened(server, schema) as modules:
            yield modules

    @pytest.fixture
    async def again(self, server: Server, schema: str) -> AsyncIterator[PostgresModules]:
        async with opened(server, schema) as modules:
            yield modules


@asynccontextmanager
async def opened(server: Server, schema: str) -> AsyncIterator[PostgresModules]:
    """Modules by a pool of their own."""
    pool = PostgresPool()
    pool.settings = PostgresSettings.model_validate({"url": server.url, "schema": schema})
    modules = PostgresModules()
    modules.shared = pool
    yield modules
    await pool.stop()
