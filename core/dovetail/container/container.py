"""The container: where dependencies are registered, and asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from dovetail.container.cleanup import unwind
from dovetail.container.health import HealthChecks
from dovetail.container.injecting import Filler, injected
from dovetail.container.markers import key_of
from dovetail.container.registering import Registrations
from dovetail.container.scoped import ScopedContext
from dovetail.container.scopes import MISSING
from dovetail.context import current_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType
    from typing import Self

    from dovetail.container.health import DependencyHealth
    from dovetail.context import ExecutionContext

T = TypeVar("T")
R = TypeVar("R")


class SmartDependencyContainer(Registrations):
    """Gives dependencies by key or by type, the right ones for the context.

    A key is a text, a class, a generic class with its arguments, or `Annotated` with `Named` or
    `Tagged`. What stands for a type is, in this order: an override, an instance or a factory, a
    type mapping, the first provider that can, and for a concrete class its constructor, whose
    parameters are filled by their annotations.

    `context` is the current one wherever it is left out. Methods that await (`aget`, `aresolve`)
    know asynchronous factories; the others refuse them. All are safe in tasks and in threads.
    """

    def __init__(self) -> None:
        super().__init__()
        self._checks = HealthChecks(self)

    def get(self, key: str, context: ExecutionContext | None = None) -> Any:
        """The dependency that was registered as `key`.

        Raises:
            DependencyNotFound: nothing was (a KeyError too).
            DependencyResolutionError: it cannot be had; the error tells which, and who asked.
        """
        return self.resolve(key, context)

    async def aget(self, key: str, context: ExecutionContext | None = None) -> Any:
        """The same, awaiting whatever has to be."""
        return await self.aresolve(key, context)

    @overload
    def resolve(self, dependency_type: type[T], context: ExecutionContext | None = None) -> T: ...
    @overload
    def resolve(self, dependency_type: Any, context: ExecutionContext | None = None) -> Any: ...
    def resolve(self, dependency_type: Any, context: ExecutionContext | None = None) -> Any:
        """The dependency of this type.

        Raises:
            DependencyNotFound: nothing provides it, or something that it needs.
            DependencyCycle: it needs itself.
            CaptiveDependency: something would outlive what it needs.
            AsyncDependency: something is made asynchronously: use `aresolve`.
            DependencyResolutionError: anything else, such as a factory that raised.
        """
        try:
            node = self._plans[dependency_type]
        except TypeError:  # what stands beside the type cannot be hashed
            node = self._plans[key_of(dependency_type)]
        scope = None
        if node.contextual:
            context = current_context() if context is None else context
            scope = self._scopes.found(context)
        return node.get(context, scope)

    @overload
    async def aresolve(
        self, dependency_type: type[T], context: ExecutionContext | None = None
    ) -> T: ...
    @overload
    async def aresolve(
        self, dependency_type: Any, context: ExecutionContext | None = None
    ) -> Any: ...
    async def aresolve(self, dependency_type: Any, context: ExecutionContext | None = None) -> Any:
        """The same, awaiting whatever has to be."""
        try:
            node = self._plans[dependency_type]
        except TypeError:
            node = self._plans[key_of(dependency_type)]
        scope = None
        if node.contextual:
            context = current_context() if context is None else context
            scope = self._scopes.found(context)
        if node.peek is not None and (value := node.peek(context, scope)) is not MISSING:
            return value
        return node.get(context, scope) if node.aget is None else await node.aget(context, scope)

    def inject(
        self, func: Callable[..., R], context: ExecutionContext | None = None
    ) -> Callable[..., R]:
        """`func` with the arguments that a call leaves out taken from here; a decorator too.

        Plain, coroutine and generator functions stay what they are; a plain one cannot have what is
        made asynchronously. Parameters without an annotation, and plain `str`, `int` and other
        builtins, are never filled in. One with a default, or that may be None, is filled only with
        what was registered or what a provider has. Without `context` each call has the current one.
        """
        filler = Filler(func, context, self._scopes)

        def prepare() -> None:
            if filler.version != self._version:
                with self._scopes.lock:
                    filler.compile(self._compiler, self._version)

        wrapper: Callable[..., R] = injected(func, filler, prepare)
        return wrapper

    def scope(
        self, context: ExecutionContext | None = None
    ) -> AbstractAsyncContextManager[ExecutionContext]:
        """Make `context` the current one in an `async with`, and `end` it there.

        Without one it is a child of the current context, or a new one. An error that leaves the
        body is handed to the context managers, so that a transaction can roll back.
        """
        return ScopedContext(self.end, context)

    def holds(self, context: ExecutionContext) -> bool:
        """Whether anything was built that `end` has to forget."""
        return self._scopes in context.attached

    async def end(self, context: ExecutionContext, error: BaseException | None = None) -> None:
        """Forget what was built for `context`, and clean it up, what came last first.

        Context managers see `error` if there is one. What is asked for later is built anew.

        Raises:
            DependencyError: some of it could not be cleaned up; everything else was.
        """
        scope = self._scopes.take(context)
        if scope is not None and (exits := scope.take()):
            await unwind(exits, error)

    async def health(self, limit: float = 5.0) -> list[DependencyHealth]:
        """How each registration is, in order: what has a `ping` is had and pinged, all at once.

        Each has `limit` seconds. A plain function is called in a thread of its own, a coroutine
        function in this event loop. What belongs to a context is built for one of its own.
        """
        return await self._checks.run(list(self._registry.entries.values()), limit)

    async def aclose(self, error: BaseException | None = None) -> None:
        """Clean up everything: what belongs to contexts that did not end, then the kernel's.

        Nothing can be had any more.

        Raises:
            DependencyError: some of it could not be cleaned up; everything else was.
        """
        self._checks.cancel()
        with self._scopes.lock:
            kernel = self._scopes.kernel
            contexts = [scope for scope in self._scopes.occupied if scope is not kernel]
            exits = kernel.take()
            self._forget_plans()
        for scope in contexts:
            exits += scope.take()
        await unwind(exits, error)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose(error)
