"""The backend `pgvector` keeps what every backend of the vector store promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dovetail_vectorstore.testing import VectorBackendContract

if TYPE_CHECKING:
    from dovetail_postgres.vectors import PostgresVectors


class TestPgvector(VectorBackendContract):
    @pytest.fixture
    async def backend(self, vectors: PostgresVectors) -> PostgresVectors:
        return vectors
