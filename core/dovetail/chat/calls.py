"""Calls in flight that are no turns, such as embedding; each in a task that the kernel owns."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from dovetail.context import set_current_context
from dovetail.errors import DependencyError, KernelBusy, KernelClosed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from dovetail.chat.runs import ChatSessionManager
    from dovetail.container import SmartDependencyContainer
    from dovetail.context import ExecutionContext
    from dovetail.host.generation import Generation

T = TypeVar("T")

log = structlog.get_logger("dovetail")


async def in_context(
    context: ExecutionContext,
    work: Callable[[], Awaitable[T]],
    container: SmartDependencyContainer | None,
) -> T:
    """What `work` gives, with `context` as the current one; for a task of its own.

    `container` is given if what was built for the context is to be cleaned up at the end.
    """
    set_current_context(context)
    try:
        return await work()
    finally:
        if container is not None and context.has_attached:
            try:
                await container.end(context)
            except DependencyError:
                log.exception("what was built for a call could not be cleaned up")


class Calls:
    """The calls in flight; the limits are those of turns."""

    def __init__(self, limits: ChatSessionManager) -> None:
        self._limits = limits
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, generation: Generation, work: Coroutine[Any, Any, T]) -> T:
        """What `work` gives; it ends when the caller is cancelled, or the kernel closes.

        Raises:
            KernelBusy: too many are in flight.
            KernelClosed: the kernel was closed meanwhile.
        """
        limits = self._limits
        if len(self._tasks) >= limits.max_runs:
            work.close()
            message = f"{limits.max_runs} calls are in flight, the limit `max_turns` of [kernel]"
            raise KernelBusy(message)
        task = asyncio.create_task(work)
        self._tasks.add(task)
        generation.enter()
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: generation.leave())
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task], timeout=limits.cancel_grace)
            raise
        if task.cancelled():
            message = "the kernel was closed during the call"
            raise KernelClosed(message)
        return task.result()

    def cancel(self) -> list[asyncio.Task[Any]]:
        """Ask every call to end; the tasks to wait for."""
        for task in self._tasks:
            task.cancel()
        return list(self._tasks)
