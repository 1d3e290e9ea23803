"""Modules in SQLite."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from dovetail_sqlite import SqliteModules, SqliteSettings
from plugins.modules.tests.repository_contract import ModuleRepositoryContract

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class TestSqliteModules(ModuleRepositoryContract):
    durable = True

    @pytest.fixture
    async def repository(self, tmp_path: Path) -> AsyncIterator[SqliteModules]:
        modules = SqliteModules()
        modules.settings = SqliteSettings(path=str(tmp_path / "modules.db"))
        yield modules
        await modules.stop()

    @pytest.fixture
    async def again(self, tmp_path: Path) -> AsyncIterator[SqliteModules]:
        modules = SqliteModules()
        modules.settings = SqliteSettings(path=str(tmp_path / "modules.db"))
        yield modules
        await modules.stop()


async def test_a_file_that_nobody_needs_is_not_made(tmp_path: Path) -> None:
    modules = SqliteModules()
    modules.settings = SqliteSettings(path=str(tmp_path / "modules.db"))
    await modules.start()
    await modules.stop()
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - nothing else is here to wait for


async def test_two_processes_see_each_other_s_modules(tmp_path: Path) -> None:
    both = [SqliteModules(), SqliteModules()]
    for modules in both:
        modules.settings = SqliteSettings(path=str(tmp_path / "modules.db"))
    first, second = both
    assert await first.append("greeting", 1, '{"content": "hi"}') is not None
    row = await second.read("greeting")
    assert row is not None
    assert row[3] == '{"content": "hi"}'
    assert await second.append("greeting", 1, "{}") is None
    written = await asyncio.gather(*(m.append("greeting", 2, "{}") for m in both))
    assert sum(at is not None for at in written) == 1
    assert await first.revision() == await second.revision()
    for modules in both:
        await modules.stop()
