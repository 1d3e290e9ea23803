"""What a server tells of itself, and whether sessions can be kept there."""

from __future__ import annotations

import re
from typing import Any

import structlog
from redis.exceptions import NoPermissionError, ResponseError

from dovetail import NotReady, PluginError

log = structlog.get_logger("dovetail.redis")

OLDEST = (5, 0)
"""From this version on a script may ask for the time and write afterwards."""


async def facts(client: Any) -> dict[str, Any]:
    """What `INFO` says; nothing if the server does not let us ask."""
    try:
        found: dict[str, Any] = await client.info()
    except NoPermissionError:
        return {}
    except ResponseError as error:
        if str(error).startswith("unknown command"):  # some who rent servers out disable it
            return {}
        raise
    return found


def check(found: dict[str, Any], address: str) -> None:
    """Refuse what cannot keep sessions; warn of what may lose them.

    Raises:
        NotReady: it cannot be written now.
        PluginError: it is too old.
    """
    version = str(found.get("redis_version", ""))
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST:
        message = (
            f"the server at {address} is Redis {version}, and sessions need "
            f"{'.'.join(map(str, OLDEST))} or newer: upgrade it"
        )
        raise PluginError(message)
    if found.get("role") == "slave":
        message = (
            f"Redis at {address} is a replica, which cannot be written: point `url` of [sessions] "
            "at the primary"
        )
        raise NotReady(message)
    policy = str(found.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction" and found.get("maxmemory"):
        log.warning(
            "this Redis drops sessions when its memory is full: set its `maxmemory-policy` to "
            "noeviction, or keep sessions on a server of their own",
            address=address,
            policy=policy,
        )
