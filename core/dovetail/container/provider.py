"""What chooses a dependency by context."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

from dovetail.component import Component

if TYPE_CHECKING:
    from dovetail.context import ExecutionContext


class Provides(Protocol):
    """What a container asks of a provider; it need not be a component."""

    def can_provide(self, dependency_type: Any, context: ExecutionContext | None) -> bool:
        """See `DependencyProvider`."""
        ...

    def provide(self, dependency_type: Any, context: ExecutionContext | None) -> Any:
        """See `DependencyProvider`."""
        ...


class DependencyProvider(Component, ABC):
    """Provides dependencies of some types, chosen by context: the tenant's database, a user's key.

    A container asks its providers in the order they were registered, each time, and keeps nothing
    that they gave. What is to be closed is theirs to close.
    """

    @abstractmethod
    def can_provide(self, dependency_type: Any, context: ExecutionContext | None) -> bool:
        """Whether it has one for this context; asked often, so it should be quick.

        `dependency_type` is what was asked for: a class, a generic one with its arguments, or
        `Annotated` if markers stand beside it; `bare` and `qualifiers` take that apart. `context`
        is None outside of any, and for what is kept as long as the kernel.
        """

    @abstractmethod
    def provide(self, dependency_type: Any, context: ExecutionContext | None) -> Any:
        """The dependency, after `can_provide` said yes. It may be an `async def`.

        Raises:
            ContextRequired: there is none for this context, and one made from nothing would not do.
            DependencyNotFound: there is none of this name or tag.
        """
