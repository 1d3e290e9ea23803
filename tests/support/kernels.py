"""Kernels with providers and middleware that a test defines itself."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from dovetail import (
    ChatProvider,
    ContextAwareService,
    DependencyProvider,
    EmbeddingProvider,
    EventProvider,
    Kernel,
    Middleware,
    SessionStore,
    StageExecutor,
    hookimpl,
)

if TYPE_CHECKING:
    from dovetail import Component


PROVIDERS = (ChatProvider, EmbeddingProvider, EventProvider)


def plugin_of(*classes: type[Component]) -> types.ModuleType:
    """A plugin module that offers `classes` by the hooks they belong to."""
    module = types.ModuleType("test_plugin")

    @hookimpl
    def providers() -> list[type[Component]]:
        return [c for c in classes if issubclass(c, PROVIDERS)]

    @hookimpl
    def middleware() -> list[type[Component]]:
        return [c for c in classes if issubclass(c, Middleware)]

    @hookimpl
    def session_stores() -> list[type[Component]]:
        return [c for c in classes if issubclass(c, SessionStore)]

    @hookimpl
    def dependency_providers() -> list[type[Component]]:
        return [c for c in classes if issubclass(c, DependencyProvider)]

    @hookimpl
    def services() -> list[type[Component]]:
        return [c for c in classes if issubclass(c, ContextAwareService)]

    @hookimpl
    def stage_executors() -> list[type[Component]]:
        return [c for c in classes if issubclass(c, StageExecutor)]

    parts = (dependency_providers, services, stage_executors)
    for hook in (providers, middleware, session_stores, *parts):
        setattr(module, hook.__name__, hook)
    return module


def kernel_of(*classes: type[Component], **tables: Any) -> Kernel:
    """A kernel in which each class has one table, in the order given; `tables` are merged in.

    The first chat provider is the default model. Nothing that happens to be installed is seen.
    """
    chat = [c for c in classes if issubclass(c, ChatProvider)]
    providers = [c for c in classes if issubclass(c, PROVIDERS)]
    config: dict[str, Any] = {
        "chat": {"model": chat[0].name} if chat else {},
        "providers": {c.name: {"use": f"test:{c.name}"} for c in providers},
        "middleware": [{"use": f"test:{c.name}"} for c in classes if issubclass(c, Middleware)],
    }
    stores = [c for c in classes if issubclass(c, SessionStore)]
    if stores:
        config["sessions"] = {"use": f"test:{stores[0].name}"}
    for name, table in tables.items():
        if isinstance(table, dict):
            known = config.setdefault(name, {})
            for key, value in table.items():
                merge = isinstance(value, dict) and isinstance(known.get(key), dict)
                known[key] = {**known[key], **value} if merge else value
        else:
            config[name] = table
    kernel = Kernel.open(config, env={}, discover_installed=False)
    return kernel.register("test", plugin_of(*classes))
