"""The kernel's own bus keeps the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dovetail.events.in_process import InProcessBusSettings, InProcessEventBus
from dovetail.testing.event_bus import EventBusContract

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class TestInProcessEventBus(EventBusContract):
    @pytest.fixture
    async def bus(self) -> AsyncIterator[InProcessEventBus]:
        settings = InProcessBusSettings(attempts=3, first_wait=0.005, handler_timeout=0.3)
        async with InProcessEventBus(settings) as bus:
            yield bus
