"""It keeps what every middleware promises."""

import pytest

from dovetail.testing import MiddlewareContract, Subject

QUICK = {"first_wait": 0.001, "breaker": {"failures": 0}}


class TestResilience(MiddlewareContract):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject("resilience", settings=QUICK)


class TestWithEverything(MiddlewareContract):
    @pytest.fixture
    def subject(self) -> Subject:
        # Its only fallback is the model itself, which is not asked twice.
        limits = {"concurrent": 1000, "requests_per_minute": 10_000, "tokens_per_minute": 10**8}
        return Subject(
            "resilience",
            settings={
                **QUICK,
                "attempts": 2,
                "fallback": ["fake/fake-1"],
                "embedding_fallback": ["fake/fake-1"],
                "limits": [limits, {"instance": "fake", **limits}],
            },
        )


class TestHoldingTwoChunks(MiddlewareContract):
    buffers = True

    @pytest.fixture
    def subject(self) -> Subject:
        return Subject("resilience", settings={**QUICK, "hold": "2 chunks"})


class TestHoldingTheWhole(MiddlewareContract):
    buffers = True

    @pytest.fixture
    def subject(self) -> Subject:
        return Subject("resilience", settings={**QUICK, "hold": "end"})
