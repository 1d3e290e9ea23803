"""The middleware `sources` keeps the contract of middleware."""

import pytest

from dovetail.testing import MiddlewareContract, Subject


class TestSources(MiddlewareContract):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject("vectorstore:sources", config={"plugins": {"vectorstore": MEMORY}})


MEMORY = {"backend": "memory"}
