"""Components that run: started together where they can be, stopped in reverse.

`start()` and `stop()` of a component run in one task of its own: libraries built on anyio insist
that what one task opens, the same task closes.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from dovetail.errors import NotReady, PluginError
from dovetail.host.importing import TookTooLong, call_in_thread
from dovetail.host.records import FailureStage, PluginState
from dovetail.host.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dovetail.component import Component
    from dovetail.events.mailbox import Mailbox
    from dovetail.host.options import KernelOptions
    from dovetail.host.planning import Key, Planned
    from dovetail.host.records import Failure

log = structlog.get_logger("dovetail")

ABANDON_SECONDS = 1.0
"""How long a task that was cancelled may take to end before the host goes on without it."""


class Instance:
    """One component that runs, and the task that owns it."""

    def __init__(self, planned: Planned, component: Component) -> None:
        self.planned = planned
        self.component = component
        self.component.instance = planned.entry.name
        if planned.settings is not None:
            self.component.settings = planned.settings  # type: ignore[attr-defined]
        self.mailbox: Mailbox | None = None
        """Events that wait for it, where it is told of events by a queue."""
        self.holders = 0
        """How many generations have it."""
        self._task: asyncio.Task[None] | None = None
        self._started: asyncio.Future[None] | None = None
        self._stop = asyncio.Event()
        self._stop_error: BaseException | None = None
        self._broke = False
        self._on_break: Callable[[Instance], None] | None = None

    def when_broken(self, tell: Callable[[Instance], None]) -> None:
        """Call `tell` once, should the component break while it runs, or if it did already."""
        self._on_break = tell
        if self._broke:
            tell(self)

    async def start(self, options: KernelOptions, dog: Watchdog) -> None:
        """Start it within its limit; raises what `start()` raised, or `PluginError`.

        If that fails it is stopped: `stop()` is owed all the same, in the same task.
        """
        self._started = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._live(), name=f"dovetail {self.planned.entry.name}")
        limit = options.start_timeout
        dog.watch(self._task, self.planned, FailureStage.START, limit)
        done, _ = await asyncio.wait([self._started], timeout=limit)
        error = self._started.exception() if done else PluginError(_late("start()", limit))
        if error is None:
            return
        failure = await self.stop(options.stop_timeout, dog)
        if failure is not None:
            message = f"a component failed to stop: {failure}"
            log.error(message)
        raise error

    async def stop(self, limit: float, dog: Watchdog) -> Failure | None:
        """Stop it within `limit` seconds; a failure is returned, not raised."""
        if self._task is None or self._started is None:
            return None
        self._stop.set()
        dog.watch(self._task, self.planned, FailureStage.STOP, limit)
        if not self._started.done():
            self._task.cancel()  # whoever waited for the start has gone
        done, _ = await asyncio.wait([self._task], timeout=limit)
        if not done:
            await self._abandon()
            self._stop_error = PluginError(_late("stop()", limit))
        error, self._stop_error = self._stop_error, None
        if error is None:
            return None
        return self.planned.fail(FailureStage.STOP, error, "what it held open may leak")

    async def _live(self) -> None:
        assert self._started is not None  # noqa: S101 - for the type checker
        try:
            await self.component.start()
        except BaseException as error:  # noqa: BLE001 - the host decides what it means
            if not self._started.done():
                self._started.set_exception(_from_plugin(error, "`start()`"))
                self._started.exception()  # seen, also if nobody waits any more
        else:
            if not self._started.done():
                self._started.set_result(None)
            with suppress(asyncio.CancelledError):
                await self._stop.wait()
            if not self._stop.is_set():
                # A task group that `start()` opened cancels this task: it must be closed in it.
                self._broke = True
                if self._on_break is not None:
                    self._on_break(self)
        try:
            if self.mailbox is not None:
                await self.mailbox.close()
            await self.component.stop()
        except BaseException as error:  # noqa: BLE001 - as above
            self._stop_error = _from_plugin(error, "`stop()`")

    async def _abandon(self) -> None:
        """Cancel the task, and go on without it if it does not end: nothing more can be done."""
        assert self._task is not None  # noqa: S101 - for the type checker
        self._task.cancel()
        done, _ = await asyncio.wait([self._task], timeout=ABANDON_SECONDS)
        if not done:
            who, where = self.planned.record.plugin_id, self.planned.where
            message = f"a component of `{who}` does not stop, and is left behind: {where}"
            log.error(message)


async def start_all(
    planned: Sequence[Planned],
    running: Mapping[Key, Component],
    options: KernelOptions,
    started: list[Instance],
    prepare: Callable[[Component], None] = lambda _: None,
) -> list[tuple[Planned, Failure]]:
    """Start components, those whose needs are met together.

    `prepare` is called with each before its `start()`.

    `running` are the components that run already, by their keys. What starts is added to
    `started` as soon as its start was entered, so that its `stop()` is owed by the caller also if
    this is cancelled. Returns what did not start.
    """
    if not planned:
        return []
    failed: list[tuple[Planned, Failure]] = []
    running = dict(running)
    waiting = list(planned)
    with Watchdog() as dog:
        while waiting:
            coming = {p.key for p in waiting}
            ready = [p for p in waiting if not (p.needs & coming)]
            waiting = [p for p in waiting if p.needs & coming]
            starting = (_start(p, running, options, started, dog, prepare) for p in ready)
            for outcome in await asyncio.gather(*starting):
                if not isinstance(outcome, Instance):
                    failed.append(outcome)
                else:
                    running[outcome.planned.key] = outcome.component
    return failed


async def stop_broken(instance: Instance, limit: float) -> BaseException | None:
    """What a component that broke while it ran says of it when it is stopped."""
    with Watchdog() as dog:
        failure = await instance.stop(limit, dog)
    return failure.cause if failure is not None else None


async def stop_all(instances: Sequence[Instance], limit: float) -> list[Failure]:
    """Stop components in reverse order, one after the other; also if this is cancelled."""
    if not instances:
        return []

    async def stop() -> list[Failure]:
        with Watchdog() as dog:
            failures = [await instance.stop(limit, dog) for instance in reversed(instances)]
        found = [failure for failure in failures if failure is not None]
        for failure in found:
            message = f"a component failed to stop: {failure}"
            log.error(message)
        return found

    task = asyncio.create_task(stop())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])  # each has its limit
        raise


async def _start(
    planned: Planned,
    running: Mapping[Key, Component],
    options: KernelOptions,
    started: list[Instance],
    dog: Watchdog,
    prepare: Callable[[Component], None],
) -> Instance | tuple[Planned, Failure]:
    missing = sorted(planned.needs - running.keys())
    if missing:
        names = ", ".join(f"`{name}`" for _, name in missing)
        absent = NotReady(f"it needs {names}, which did not start")
        failure = planned.fail(FailureStage.START, absent, "mend that one first")
        return planned, replace(failure, follows=True)
    for ref in planned.refs:
        if not ref.soft:
            ref.bind(running["provider", ref.instance])
    try:
        # In a thread: a constructor cannot be awaited, so here nothing could end one that hangs.
        made = await call_in_thread(planned.component, options.import_timeout, "its constructor")
        instance = Instance(planned, made)
        if planned.shared is not None:
            made.shared = running[planned.shared]  # type: ignore[attr-defined]
    except Exception as error:  # noqa: BLE001 - whatever a component raises is its failure
        return planned, planned.fail(FailureStage.START, error, _hint(planned, error))
    prepare(made)
    started.append(instance)
    try:
        await instance.start(options, dog)
    except Exception as error:  # noqa: BLE001 - whatever a component raises is its failure
        started.remove(instance)
        return planned, planned.fail(FailureStage.START, error, _hint(planned, error))
    planned.record.state = PluginState.STARTED
    return instance


def _late(what: str, limit: float) -> str:
    return f"`{what}` took longer than {limit:g} s"


def _hint(planned: Planned, error: Exception) -> str:
    if isinstance(error, NotReady):
        return (
            "it is tried again in the background"
            if planned.entry.optional
            else ("try again when what it needs is there, or mark its table `optional = true`")
        )
    if isinstance(error, TookTooLong):
        return "raise `import_timeout` of [kernel] if it is only slow"
    return f"see its settings: dovetail plugins show {planned.entry.plugin}"


def _from_plugin(error: BaseException, where: str) -> Exception:
    """An exception that a future can carry and that does not end the program."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    wrapped = PluginError(f"{where} raised {type(error).__name__}")
    wrapped.__cause__ = error
    return wrapped
