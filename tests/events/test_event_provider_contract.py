"""Event providers of each kind keep the contract."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, ClassVar

import pytest
from pydantic import Field

from dovetail import EventProvider, EventSettings
from dovetail.testing import Subject, plugin_of
from dovetail.testing.event_provider import EventProviderContract


class CountsSettings(EventSettings):
    """What an operator may set."""

    most: int = Field(default=100, description="How many names it counts.")


class Counts(EventProvider):
    """Counts everything."""

    settings: CountsSettings
    events = ("*",)

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    async def handle_event(self, event: str, data: Any) -> None:
        if event in self.counts or len(self.counts) < self.settings.most:
            self.counts[event] += 1


class Keeps(EventProvider):
    """Keeps the answers, at its leisure."""

    events = ("agent_complete", "order_paid")
    delivery = "queued"
    priority = 10

    async def initialize(self) -> None:
        self.kept: list[Any] = []

    async def handle_event(self, event: str, data: Any) -> None:
        await asyncio.sleep(0)
        self.kept.append(data["output"] if event == "agent_complete" else data["total"])


class TestCounts(EventProviderContract):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject(plugin_of(Counts))


class TestCountsQueued(EventProviderContract):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject(plugin_of(Counts), settings={"delivery": "queued", "queue_size": 10})


class TestKeeps(EventProviderContract):
    samples: ClassVar[dict[str, Any]] = {"order_paid": {"total": 3}}

    @pytest.fixture
    def subject(self) -> Subject:
        return Subject(plugin_of(Keeps))
