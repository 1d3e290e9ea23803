"""Closing the answers that providers gave and nobody read to the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dovetail.chat.answer import Answer

log = structlog.get_logger("dovetail")


async def close_forgotten(answers: Iterable[Answer]) -> None:
    """Close those that have not ended; never raises."""
    for answer in answers:
        if answer.ended:
            continue
        try:
            await answer.aclose()
        except (Exception, asyncio.CancelledError):
            # A provider's clean-up may raise anything, and a cancel may come: the turn ends.
            log.exception("a provider failed to close its stream", provider=answer.provider)
