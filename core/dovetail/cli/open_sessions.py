"""Opening nothing but the session store for a command: no provider, no middleware."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from dovetail.errors import ConfigError, StartError
from dovetail.host.discovery import discover
from dovetail.host.lifecycle import start_all, stop_all
from dovetail.host.loading import PluginLoader
from dovetail.host.planning import make_plan
from dovetail.host.reading import understand
from dovetail.sessions.manager import SessionManager

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dovetail.config import RawConfig
    from dovetail.host.lifecycle import Instance
    from dovetail.sessions.store import SessionStore


@asynccontextmanager
async def open_sessions(raw: RawConfig) -> AsyncIterator[SessionManager]:
    """The sessions of a config, with the store that `[sessions]` names and what that needs.

    Raises:
        ConfigError: `[sessions]`, or what its plugin shares, is wrong.
        StartError: the store cannot be loaded or started.
    """
    reading = understand(raw)
    plugin = reading.config.sessions.plugin
    config = replace(
        reading.config,
        providers=(),
        middleware=(),
        chat={},
        plugins=tuple(entry for entry in reading.config.plugins if entry.plugin == plugin),
    )
    plan = await make_plan(config, PluginLoader(discover()), reading.kernel.import_timeout)
    problems = [p for p in reading.problems if "[sessions]" in p.where] + plan.problems
    if plan.failures:
        raise StartError(problems, plan.failures)
    if problems:
        raise ConfigError(problems)
    started: list[Instance] = []
    try:
        store = next(p for p in plan.planned if p.entry.kind == "sessions")
        needed = [p for p in plan.planned if p.key in {store.key, *store.needs}]
        failed = await start_all(needed, {}, reading.kernel, started)
        if failed:
            raise StartError((), [failure for _, failure in failed])
        found = next(i for i in started if i.planned is store)
        manager = SessionManager(cast("SessionStore", found.component), reading.sessions)
        try:
            yield manager
        finally:
            await manager.close()
    finally:
        await stop_all(started, reading.kernel.stop_timeout)
