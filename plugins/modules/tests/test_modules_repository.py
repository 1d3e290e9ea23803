"""The repository in memory keeps the contract of all repositories."""

from __future__ import annotations

import pytest

from dovetail_modules import InMemoryModuleRepository, ModuleRepository
from plugins.modules.tests.repository_contract import ModuleRepositoryContract


class TestInMemory(ModuleRepositoryContract):
    @pytest.fixture
    async def repository(self) -> ModuleRepository:
        return InMemoryModuleRepository()
