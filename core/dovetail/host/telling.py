"""The events of plugins: what has started, failed and stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.host.records import describe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dovetail.events.dispatcher import EventDispatcher
    from dovetail.host.lifecycle import Instance
    from dovetail.host.planning import Planned
    from dovetail.host.records import Failure


async def tell_started(events: EventDispatcher, instances: Iterable[Instance]) -> None:
    """Tell of components that have started."""
    for instance in tuple(instances):
        await events.dispatch("plugin_started", _about(instance.planned))


async def tell_stopped(events: EventDispatcher, instances: Iterable[Instance]) -> None:
    """Tell of components that have stopped."""
    for instance in tuple(instances):
        await events.dispatch("plugin_stopped", _about(instance.planned))


async def tell_failed(events: EventDispatcher, failures: Iterable[Failure]) -> None:
    """Tell of components that are out of order."""
    for failure in tuple(failures):
        data = {
            "plugin": failure.plugin_id,
            "distribution": failure.distribution,
            "version": failure.version,
            "table": failure.component,
            "stage": str(failure.stage),
            "error": type(failure.cause).__name__,
            "error_message": describe(failure.cause, failure.secrets),
        }
        await events.dispatch("plugin_failed", data)


def _about(planned: Planned) -> dict[str, object]:
    record = planned.record
    return {
        "plugin": record.plugin_id,
        "distribution": record.distribution,
        "version": record.version,
        "table": table_of(planned),
    }


def table_of(planned: Planned) -> str:
    """How a component's table is written in the config."""
    entry = planned.entry
    if entry.kind == "provider":
        return f"[providers.{entry.name}]"
    if entry.kind == "middleware":
        return f"[[middleware]] {entry.name}"
    table = f"[{'.'.join(map(str, entry.path))}]"
    return table if entry.kind == "sessions" else f"{table} {entry.component}"
