"""The plugin keeps the contracts that every provider must keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dovetail.testing import ChatProviderContract, EmbeddingProviderContract, Subject
from plugins.ollama.tests.samples import serve

if TYPE_CHECKING:
    from dovetail.testing import Upstream


class TestChat(ChatProviderContract):
    @pytest.fixture
    def subject(self, upstream: Upstream) -> Subject:
        serve(upstream)
        return Subject("ollama", {"base_url": upstream.url}, model="llama3.2")


class TestEmbedding(EmbeddingProviderContract):
    @pytest.fixture
    def subject(self, upstream: Upstream) -> Subject:
        serve(upstream)
        return Subject("ollama", {"base_url": upstream.url}, model="all-minilm")
