"""Asking every installed plugin what it offers, each in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from dovetail.cli.running import run_async
from dovetail.host.describe import PluginDescription
from dovetail.host.discovery import discover
from dovetail.redaction import redact

if TYPE_CHECKING:
    from dovetail.host.records import PluginRecord

LIMIT = 45.0
"""Seconds after which a plugin's process is ended; it gives up by itself before that."""
AT_ONCE = 4
MOST_WORDS = 500
"""Of what a process said before it died, this much of the end is shown."""


def describe_installed() -> list[PluginDescription]:
    """What each installed plugin offers, by id; one that is broken has its `failure` set."""
    return run_async(_describe_all(list(discover().values())))


async def _describe_all(records: list[PluginRecord]) -> list[PluginDescription]:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(record: PluginRecord) -> PluginDescription:
        async with places:
            return await _describe(record)

    # Not `gather`, which would leave when the first is cancelled, before the others have ended.
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(record)) for record in records]
    return [task.result() for task in tasks]


async def _describe(record: PluginRecord) -> PluginDescription:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # the current folder is no place to import from
        "-m",
        "dovetail.host.describe",
        record.plugin_id,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # to be ended together with what it may start itself
    )
    try:
        async with asyncio.timeout(LIMIT):
            out, err = await process.communicate()
    except TimeoutError:
        failure = f"it took longer than {LIMIT:g} s to load"
    else:
        if process.returncode == 0:
            return PluginDescription.model_validate_json(out)
        words = redact(err.decode(errors="replace").strip())[-MOST_WORDS:]
        failure = f"its process died with {process.returncode}: {words or 'it said nothing'}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()  # else asyncio complains of an end that nobody waits for
    return PluginDescription(
        plugin=record.plugin_id,
        distribution=record.distribution,
        version=record.version,
        failure=f"plugin `{record.plugin_id}` ({record.distribution}): {failure}",
    )
