"""Naming the models whose names are near one that was not found."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from dovetail.config.nearest import nearest

if TYPE_CHECKING:
    from dovetail.chat.providers import Provider
    from dovetail.errors import ModelNotFound

log = structlog.get_logger("dovetail")

NEAR_SECONDS = 2.0
"""How long a provider may take to list its models for the sake of a better error."""


async def name_near_models(
    error: ModelNotFound, provider: Provider, instance: str, model: str
) -> None:
    """Add to an error the models of the instance whose names are near; best effort."""
    if error.details.nearest:
        return
    try:
        async with asyncio.timeout(NEAR_SECONDS):
            known = [info.id for info in await provider.models()]
    except Exception:  # the error at hand matters more than why there is no list
        log.debug("no list of models for a suggestion", provider=instance, exc_info=True)
        return
    near = nearest(model, known)
    error.complete(nearest=tuple(f"{instance}/{name}" for name in ([near] if near else known[:5])))
