"""Building a thing once, whoever asks: tasks and threads that come meanwhile wait for it.

Nothing is locked while somebody's factory runs, so one may take its time, start threads, and ask
the container itself; one that would wait for itself in the end is told so.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from threading import get_ident
from typing import TYPE_CHECKING, Any

from dovetail.container.cleanup import run_now, unwind
from dovetail.container.node import again
from dovetail.container.scopes import MISSING, Build
from dovetail.errors import (
    AsyncDependency,
    DependencyCycle,
    DependencyError,
    DependencyResolutionError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dovetail.container.node import Node
    from dovetail.container.scopes import Scope, Scopes
    from dovetail.context import ExecutionContext

_running: ContextVar[Build | None] = ContextVar("dovetail_dependency", default=None)
"""What the running task or thread is building."""


class Shared:
    """A thing that is built once in a scope, kept there, and shared by all who ask."""

    __slots__ = ("_make", "key", "name", "scopes")

    def __init__(self, scopes: Scopes, key: Any, name: str, make: Node) -> None:
        self.scopes = scopes
        self.key = key
        self.name = name
        self._make = make

    def build_now(self, scope: Scope, context: ExecutionContext | None) -> Any:
        """What is built, by this thread or another; nothing is awaited.

        Raises:
            AsyncDependency: a task of this thread builds it, so to wait would be for ever.
        """
        build = self._begin(scope)
        if build is None:
            return run_now(self._join(scope, context, now=True))
        try:
            value = self._make.get(context, build)
            scope.keep(self.key, build, value)
        except BaseException as error:
            run_now(self._failed(scope, build, error))
            raise
        finally:
            _running.set(build.parent)
        return value

    async def build(self, scope: Scope, context: ExecutionContext | None) -> Any:
        """What is built, by this task or another."""
        build = self._begin(scope)
        if build is None:
            return await self._join(scope, context, now=False)
        make = self._make
        try:
            value = MISSING if make.peek is None else make.peek(context, build)
            if value is MISSING:
                value = (
                    make.get(context, build)
                    if make.aget is None
                    else (await make.aget(context, build))
                )
            scope.keep(self.key, build, value)
        except BaseException as error:
            await self._failed(scope, build, error)
            raise
        finally:
            _running.set(build.parent)
        return value

    def _begin(self, scope: Scope) -> Build | None:
        """A build that the caller is to do; None if somebody else does it, or has done it."""
        build = Build(self.name, _running.get(), scope)
        if scope.building.setdefault(self.key, build) is not build:
            return None
        if self.key in scope.values:
            scope.drop(self.key, build, None)
            return None
        _running.set(build)
        return build

    async def _failed(self, scope: Scope, build: Build, error: BaseException) -> None:
        """Close what was opened for it."""
        try:
            await unwind(build.exits, error)
        except DependencyError as failure:
            error.add_note(str(failure))
        finally:
            scope.drop(self.key, build, _for_others(error))

    async def _join(self, scope: Scope, context: ExecutionContext | None, *, now: bool) -> Any:
        """What somebody else builds; if nothing comes of that, what is built here."""
        while (value := scope.values.get(self.key, MISSING)) is MISSING:
            other = scope.building.get(self.key)
            if other is not None:
                await self._wait(other, now=now)
            elif now:
                return self.build_now(scope, context)
            else:
                return await self.build(scope, context)
        return value

    async def _wait(self, other: Build, *, now: bool) -> None:
        """Wait until `other` is finished, and fail if it failed."""
        with _waiting(self.scopes, other) as done:
            if done is None:
                return
            if not now:
                await asyncio.wrap_future(done)
            elif other.thread == get_ident():
                raise AsyncDependency(
                    f"a task is just building `{self.name}`, and waiting here would stop it: "
                    "await `aresolve` or `aget`",
                    chain=(self.name,),
                )
            else:
                done.result()
        if other.error is not None:
            raise again(other.error)


@contextmanager
def _waiting(scopes: Scopes, other: Build) -> Iterator[Future[None] | None]:
    """What tells that `other` is finished; None if it is. Who waits for whom is noted meanwhile."""
    mine = _running.get()
    chain = list(mine.chain()) if mine is not None else []
    with scopes.lock:
        other.waiters = other.waiters or _future()
        done: Future[None] | None = other.waiters
        if other.finished:
            done, chain = None, []
        else:
            _refuse_to_wait_for_itself(other, chain)
        for build in chain:
            build.waits_for = [*build.waits_for, other]
    try:
        yield done
    finally:
        with scopes.lock:
            for build in chain:
                waits_for = list(build.waits_for)
                waits_for.remove(other)
                build.waits_for = waits_for


def _refuse_to_wait_for_itself(other: Build, chain: list[Build]) -> None:
    path = _path(other, set(chain), set())
    if path:
        start = chain.index(path[-1])
        names = [build.name for build in [*reversed(chain[: start + 1]), *path]]
        raise cycle(names)


def _path(build: Build, ends: set[Build], seen: set[Build]) -> list[Build]:
    """Who waits for whom from `build` to one of `ends`; empty if that leads nowhere."""
    if build in ends:
        return [build]
    seen.add(build)
    for each in build.waits_for:
        if each not in seen and (rest := _path(each, ends, seen)):
            return [build, *rest]
    return []


def cycle(names: list[str]) -> DependencyCycle:
    """The error that shows the path which closes a cycle: its last name is its first."""
    return DependencyCycle(
        f"a cycle: {' → '.join(names)}; let one of them ask for the other when it is used",
        chain=names[-1:],
    )


def _future() -> Future[None]:
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()  # a task that stops waiting must not cancel it
    return future


def _for_others(error: BaseException) -> DependencyResolutionError | None:
    """What those who wait get. None if it concerns the asker alone: they try themselves."""
    if isinstance(error, DependencyResolutionError) and not isinstance(error, AsyncDependency):
        return again(error)
    return None
