"""The contract: every hook the kernel calls, on one page.

A plugin is a module named by an entry point in the group `dovetail.v1`; the entry point's name is
the plugin's id. The kernel imports it only if the config names it, and calls its hooks once, at
start-up. Hooks return classes, never instances: settings are checked before anything is made.
An implementation may take fewer arguments than its spec. A hook that is not here is an error.

::

    from dovetail import hookimpl


    @hookimpl
    def providers():
        return [MyProvider]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from dovetail.chat.providers import Provider
    from dovetail.container import DependencyProvider
    from dovetail.middleware import Middleware
    from dovetail.pipeline.executor import StageExecutor
    from dovetail.services.service import ContextAwareService
    from dovetail.sessions.store import SessionStore

PROJECT = "dovetail"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def providers() -> Sequence[type[Provider]]:  # type: ignore[empty-body]
    """Classes that answer or listen: `ChatProvider`, `EmbeddingProvider`, `EventProvider`.

    One class may be several of them. Called once when the plugin is loaded. A class acts for each
    `[providers.NAME]` that uses it.
    """


@hookspec
def middleware() -> Sequence[type[Middleware]]:  # type: ignore[empty-body]
    """`Middleware` classes. Called once when the plugin is loaded.

    A class acts for each `[[middleware]]` that uses it, in the order of the config.
    """


@hookspec
def session_stores() -> Sequence[type[SessionStore]]:  # type: ignore[empty-body]
    """`SessionStore` classes. Called once when the plugin is loaded.

    The one that `[sessions]` uses keeps the sessions.
    """


@hookspec
def dependency_providers() -> Sequence[type[DependencyProvider]]:  # type: ignore[empty-body]
    """`DependencyProvider` classes: what a dependency is may depend on the context.

    Called once when the plugin is loaded. Each acts in `Kernel.container` from then on; its
    settings stand in `[plugins.ID]`.
    """


@hookspec
def stage_executors() -> Sequence[type[StageExecutor]]:  # type: ignore[empty-body]
    """`StageExecutor` classes: what is done in the stages around the answer.

    Called once when the plugin is loaded. Each works in every turn from then on; its settings
    stand in `[plugins.ID]`.
    """


@hookspec
def services() -> Sequence[type[ContextAwareService]]:  # type: ignore[empty-body]
    """`ContextAwareService` classes. Called once when the plugin is loaded.

    Each is in `Kernel.services` from then on, under its `name`; its settings stand in
    `[plugins.ID]`.
    """


@hookspec
def hookspecs() -> Sequence[ModuleType | type]:  # type: ignore[empty-body]
    """Modules or classes with more specs, for a plugin that hosts plugins.

    Called before any other hook, on all plugins. What other plugins answer to such a hook comes
    from `Kernel.collect("hook_name")`.
    """
