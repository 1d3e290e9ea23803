"""What must be closed: entering context managers, and leaving them in reverse."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from dovetail.errors import DependencyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

T = TypeVar("T")
Error: TypeAlias = "BaseException | None"

LAST_SECONDS = 1.0
"""How long what remains may take in all, once whoever waits for the clean-up was cancelled."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How one thing is closed."""

    name: str
    leave: Callable[[Error], Awaitable[None] | None]
    """Takes the error that ended the scope, if one did, so that a transaction can roll back."""


async def unwind(exits: Sequence[Exit], error: Error = None) -> None:
    """Leave all of `exits`, the last one first; one that fails does not keep the others.

    Raises:
        DependencyError: some failed; the cause is a group of what they raised.
    """
    failures: list[Exception] = []
    names: list[str] = []
    interrupted: BaseException | None = None
    last = 0.0
    for each in reversed(exits):
        try:
            waiting = each.leave(error)
            if waiting is not None:
                async with asyncio.timeout_at(last) if interrupted is not None else nullcontext():
                    await waiting
        except Exception as failure:  # noqa: BLE001 - the others must be left too
            if failure is not error:
                failures.append(failure)
                names.append(each.name)
        except BaseException as stop:  # noqa: BLE001 - as above; raised below
            if interrupted is None and isinstance(stop, asyncio.CancelledError):
                last = asyncio.get_running_loop().time() + LAST_SECONDS
            interrupted = stop
    message = f"cleaning up failed for {', '.join(names)}; the cause tells why"
    if interrupted is not None:
        if failures:
            interrupted.add_note(message)
        raise interrupted
    if failures:
        raise DependencyError(message) from ExceptionGroup("clean-up", failures)


def run_now(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives that never really waits."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    work.close()
    raise RuntimeError("it waited after all")


def enter_now(name: str, manager: AbstractContextManager[Any]) -> tuple[Any, Exit]:
    """Enter `manager`: what it gives, and how it is left."""
    value = manager.__enter__()

    def leave(error: Error) -> None:
        kind, trace = (type(error), error.__traceback__) if error is not None else (None, None)
        manager.__exit__(kind, error, trace)

    return value, Exit(name, leave)


async def enter(name: str, manager: AbstractAsyncContextManager[Any]) -> tuple[Any, Exit]:
    """Enter `manager` in a task of its own, which will leave it too.

    Libraries with cancel scopes, and context variables, want both in one task; who asks for a
    dependency and who ends its scope are seldom the same.
    """
    keeper = _Keeper(name, manager)
    return await keeper.enter(), Exit(name, keeper.leave)


class _Keeper:
    def __init__(self, name: str, manager: AbstractAsyncContextManager[Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._manager = manager
        self._name = name
        self._entered: asyncio.Future[Any] = self._loop.create_future()
        self._told: asyncio.Future[Error] = self._loop.create_future()
        self._task = self._loop.create_task(self._run(), name=f"dovetail dependency {name}")

    async def enter(self) -> Any:
        try:
            await asyncio.wait([self._entered, self._task], return_when=asyncio.FIRST_COMPLETED)
        except BaseException:  # who asked is gone, and nobody else knows of it
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task.cancelled() or self._task.exception()  # seen: it may have failed as well
            raise
        if not self._entered.done():
            if self._task.cancelled():  # not by whoever waits here
                raise DependencyError(f"opening {self._name} was cancelled from within")
            self._task.result()
        return self._entered.result()

    async def leave(self, error: Error) -> None:
        if self._loop is asyncio.get_running_loop():
            await self._leave(error)
        elif self._loop.is_running():
            left = asyncio.run_coroutine_threadsafe(self._leave(error), self._loop)
            await asyncio.wrap_future(left)
        elif not self._task.done():
            raise DependencyError(f"{self._name} was opened in an event loop that has ended")

    async def _run(self) -> None:
        self._entered.set_result(await self._manager.__aenter__())
        error: Error
        try:
            error = await self._told
        except asyncio.CancelledError as cancelled:  # the loop ends before the scope
            error = cancelled
        kind, trace = (type(error), error.__traceback__) if error is not None else (None, None)
        await self._manager.__aexit__(kind, error, trace)

    async def _leave(self, error: Error) -> None:
        if not self._told.done():
            self._told.set_result(error)
        try:
            await asyncio.wait([self._task])
        except asyncio.CancelledError:
            self._task.cancel()  # who waited for it has no more time
            raise
        with suppress(asyncio.CancelledError):
            self._task.result()
