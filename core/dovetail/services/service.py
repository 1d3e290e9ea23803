"""The base of services that adapt to the context they work in."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, TypeVar

from dovetail.component import Component
from dovetail.container import SmartDependencyContainer
from dovetail.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from dovetail.context import ExecutionContext

R = TypeVar("R")


class ContextAwareService(Component):
    """A service. What it opens in `start()` is shared by the copies that `with_context` makes.

    A plugin returns its class from the hook `services`; the kernel makes one, gives it the
    kernel's container, and registers it under `name`. A host may construct one by itself.
    """

    def __init__(self, dependency_container: SmartDependencyContainer | None = None) -> None:
        self.dependency_container = dependency_container or SmartDependencyContainer()
        self._context: ExecutionContext | None = None

    @property
    def context(self) -> ExecutionContext:
        """The context this copy works in.

        Raises:
            ServiceError: it has none: it is not what `with_context` gave.
        """
        if self._context is None:
            raise ServiceError(_without_context(self))
        return self._context

    async def with_context(self, context: ExecutionContext) -> Self:
        """A copy of this service that works in `context`, initialised.

        The copy is shallow: what `start()` opened is one for all of them.
        """
        service = copy(self)
        service._context = context  # noqa: SLF001 - a copy of itself
        await service.initialize(context)
        return service

    async def initialize(self, context: ExecutionContext) -> None:
        """Called on each copy for its context; override it to prepare what depends on that."""

    def inject(self, func: Callable[..., R]) -> Callable[..., R]:
        """`func` with its missing arguments taken from the container, for this copy's context.

        Raises:
            ServiceError: this is not a copy for a context.
        """
        if self._context is None:
            raise ServiceError(_without_context(self))
        return self.dependency_container.inject(func, self._context)


def _without_context(service: ContextAwareService) -> str:
    return (
        f"the service `{service.name}` has no context here: "
        "use what `await service.with_context(context)` gives"
    )
