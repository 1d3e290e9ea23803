"""Which service answers to a name in a context, and one copy of it for each context."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from dovetail.services.service import ContextAwareService

if TYPE_CHECKING:
    from collections.abc import Callable

    from dovetail.context import ExecutionContext
    from dovetail.services.registry import ServiceRegistry

    Choice = tuple[Callable[[ExecutionContext], bool], Any]


class ServiceFactory:
    """Gives services for a context.

    By itself it gives what the registry has. `choose` adds services that stand in for that one
    where a condition on the context holds.
    """

    def __init__(self, registry: ServiceRegistry) -> None:
        self._registry = registry
        self._choices: dict[str, list[Choice]] = {}

    def choose(
        self, service_name: str, service: Any, *, when: Callable[[ExecutionContext], bool]
    ) -> None:
        """Let `service` answer to the name where `when(context)` is true; the first that is."""
        self._choices.setdefault(service_name, []).append((when, service))

    async def get(self, service_name: str, context: ExecutionContext) -> Any:
        """The service for `context`: of a `ContextAwareService` its copy for that context.

        The same context gets the same copy, made once however many ask at the same time; it is
        kept no longer than the context.

        Raises:
            ServiceNotFound: nothing answers to the name.
        """
        service = self._chosen(service_name, context)
        if not isinstance(service, ContextAwareService):
            return service
        made: dict[str, asyncio.Task[Any]] = context.attached.setdefault(self, {})
        task = made.get(service_name)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(service.with_context(context))
            made[service_name] = task
        return await asyncio.shield(task)

    def _chosen(self, service_name: str, context: ExecutionContext) -> Any:
        for when, service in self._choices.get(service_name, ()):
            if when(context):
                return service
        return self._registry.get(service_name)
