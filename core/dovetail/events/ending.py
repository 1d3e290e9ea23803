"""Ending a task that somebody else's code runs in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

ABANDON_SECONDS = 1.0
"""How long a task may take to end once it is cancelled, the first time and the second."""


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """Cancel tasks, again those that go on; returns those that even then do not end.

    Nothing more can be done about these. What the others end with is nobody's concern.
    """
    left = {task for task in tasks if not task.done()}
    for _ in range(2):
        for task in left:
            task.cancel()
        if left:
            done, left = await asyncio.wait(left, timeout=ABANDON_SECONDS)
            for task in done:
                _ = task.cancelled() or task.exception()  # seen
    return left
