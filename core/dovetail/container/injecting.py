"""Functions whose missing arguments come from a container."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from dovetail.container.node import raising
from dovetail.container.signatures import signature_of
from dovetail.context import current_context
from dovetail.errors import DependencyResolutionError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator

    from dovetail.container.compiling import Compiler
    from dovetail.container.node import Node
    from dovetail.container.scopes import Scopes
    from dovetail.context import ExecutionContext

    Arguments = tuple[tuple[Any, ...], dict[str, Any]]
    """Positional and named."""


class Filler:
    """Finds what a call of one function leaves out."""

    def __init__(
        self, func: Callable[..., Any], context: ExecutionContext | None, scopes: Scopes
    ) -> None:
        self._name = getattr(func, "__qualname__", None) or repr(func)
        self._signature = signature_of(func)
        self._context = context
        self._scopes = scopes
        self.version = -1
        """Of the registrations that it was compiled for."""
        self._slots: list[tuple[str, int | None, bool, Node]] = []

    def compile(self, compiler: Callable[[], Compiler], version: int) -> None:
        """Find out what may be filled in, and how."""
        self._slots = list(self._compiled(compiler))
        self.version = version

    def fill(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        """The arguments of a call, with those that were left out."""
        context = self._context or current_context()
        for name, index, by_name, node in self._slots:
            if name in kwargs or (index is not None and len(args) > index):
                continue
            if by_name:
                kwargs[name] = self._told(node, context)
            elif len(args) == index:
                args = (*args, self._told(node, context))
        return args, kwargs

    async def afill(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        """The same, awaiting whatever has to be."""
        context = self._context or current_context()
        for name, index, by_name, node in self._slots:
            if name in kwargs or (index is not None and len(args) > index):
                continue
            if by_name:
                kwargs[name] = await self._atold(node, context)
            elif len(args) == index:
                args = (*args, await self._atold(node, context))
        return args, kwargs

    def _compiled(
        self, compiler: Callable[[], Compiler]
    ) -> Iterator[tuple[str, int | None, bool, Node]]:
        for parameter in self._signature.parameters:
            if parameter.why and (parameter.has_default or not parameter.unreadable):
                continue
            try:
                node = compiler().argument(parameter)
            except DependencyResolutionError as error:
                node = raising(error)  # it matters only if the call leaves it out
            if node is not None:
                yield parameter.name, parameter.index, parameter.by_name, node

    def _told(self, node: Node, context: ExecutionContext | None) -> Any:
        try:
            return node.get(context, self._scopes.found(context))
        except DependencyResolutionError as error:
            error.asked_by(f"{self._name}()")
            raise

    async def _atold(self, node: Node, context: ExecutionContext | None) -> Any:
        try:
            return await node.awaited(context, self._scopes.found(context))
        except DependencyResolutionError as error:
            error.asked_by(f"{self._name}()")
            raise


def injected(func: Callable[..., Any], filler: Filler, prepare: Callable[[], None]) -> Any:
    """A function of the same kind as `func` (plain, coroutine, generator) that fills itself."""
    if inspect.isasyncgenfunction(func):
        return _async_generator(func, filler, prepare)
    if inspect.iscoroutinefunction(func):

        @functools.wraps(func)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            prepare()
            args, kwargs = await filler.afill(args, kwargs)
            return await func(*args, **kwargs)

        return coroutine
    if inspect.isgeneratorfunction(func):

        @functools.wraps(func)
        def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            prepare()
            args, kwargs = filler.fill(args, kwargs)
            return (yield from func(*args, **kwargs))

        return generator

    @functools.wraps(func)
    def function(*args: Any, **kwargs: Any) -> Any:
        prepare()
        args, kwargs = filler.fill(args, kwargs)
        return func(*args, **kwargs)

    return function


def _async_generator(
    func: Callable[..., Any], filler: Filler, prepare: Callable[[], None]
) -> Callable[..., AsyncIterator[Any]]:
    @functools.wraps(func)
    async def generator(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        prepare()
        args, kwargs = await filler.afill(args, kwargs)
        inner = func(*args, **kwargs)
        # What is sent or thrown in must reach the function: it may be a context manager's body.
        step = inner.asend(None)
        while True:
            try:
                item = await step
            except StopAsyncIteration:
                return
            try:
                step = inner.asend((yield item))
            except GeneratorExit:
                await inner.aclose()
                raise
            except BaseException as error:  # noqa: BLE001 - it is handed on
                step = inner.athrow(error)

    return generator
