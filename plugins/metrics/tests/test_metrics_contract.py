"""It keeps what every event provider promises."""

import pytest

from dovetail.testing import EventProviderContract, Subject

SAMPLES = {
    "tool_execute": {"tool": "search", "seconds": 1.5, "error": None},
    "stage_complete": {"stage": "RESPONSE", "seconds": 0.5, "error": None},
}


class TestMetrics(EventProviderContract):
    samples = SAMPLES

    @pytest.fixture
    def subject(self) -> Subject:
        return Subject("metrics")


class TestServed(EventProviderContract):
    samples = SAMPLES

    @pytest.fixture
    def subject(self) -> Subject:
        prices = {"fake/*": {"input": 1.0, "output": 2.0}}
        settings = {"port": 0, "prices": prices, "delivery": "queued"}
        return Subject("metrics", settings=settings)


class TestInTheRegistryOfTheProcess(EventProviderContract):
    samples = SAMPLES

    @pytest.fixture
    def subject(self) -> Subject:
        return Subject("metrics", settings={"registry": "process"})
