"""Both backends of the plugin keep what every backend promises."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dovetail_vectorstore.backend import VectorBackend
from dovetail_vectorstore.embedded import EmbeddedBackend
from dovetail_vectorstore.memory import MemoryBackend
from dovetail_vectorstore.testing import VectorBackendContract


class TestMemory(VectorBackendContract):
    @pytest.fixture
    async def backend(self) -> VectorBackend:
        return MemoryBackend()


class TestEmbedded(VectorBackendContract):
    @pytest.fixture
    async def backend(self, tmp_path: Path) -> AsyncIterator[VectorBackend]:
        backend = EmbeddedBackend(str(tmp_path / "store"), synchronous="normal")
        await backend.open()
        yield backend
        await backend.close()
