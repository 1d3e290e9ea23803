"""A context for the body of an `async with`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.context import ExecutionContext, current_context, set_current_context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType


class ScopedContext:
    """Makes a context the current one, and ends what was built for it."""

    __slots__ = ("_before", "_context", "_end")

    def __init__(
        self,
        end: Callable[[ExecutionContext, BaseException | None], Awaitable[None]],
        context: ExecutionContext | None,
    ) -> None:
        self._end = end
        self._before = current_context()
        if context is None:
            before = self._before
            context = ExecutionContext() if before is None else before.create_child_context()
        self._context = context

    async def __aenter__(self) -> ExecutionContext:
        self._before = current_context()
        set_current_context(self._context)
        return self._context

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._end(self._context, error)
        finally:
            set_current_context(self._before)
