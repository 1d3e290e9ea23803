"""The plugin keeps the contract that every embedding provider must keep."""

from __future__ import annotations

import pytest

from dovetail.testing import EmbeddingProviderContract, Subject


class TestEmbedding(EmbeddingProviderContract):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject("wordllama", model="l2_supercat")


class TestOnThreads(EmbeddingProviderContract):
    """The same, with a batch for each text."""

    @pytest.fixture
    def subject(self) -> Subject:
        return Subject("wordllama", {"batch_size": 1, "threads": 4, "dimensions": 128})
