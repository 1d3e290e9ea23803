"""Waiting for what happens in the background and gives out no event."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


async def eventually(true: Callable[[], object], seconds: float = 5.0) -> None:
    """Return as soon as `true()` is; raises `TimeoutError` after `seconds`."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.001)
