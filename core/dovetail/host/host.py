"""The host: from config files to running components, and from one generation to the next."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import structlog

from dovetail.config.order import in_order
from dovetail.container import SmartDependencyContainer
from dovetail.errors import (
    ConfigError,
    DuplicateService,
    KernelClosed,
    NotReady,
    PluginError,
    StartError,
)
from dovetail.events.in_process import InProcessEventBus
from dovetail.host.changes import compare, dependants
from dovetail.host.generation import Generation
from dovetail.host.lifecycle import Instance, start_all, stop_all, stop_broken
from dovetail.host.loading import PluginLoader
from dovetail.host.planning import Planned, make_plan
from dovetail.host.reading import Reading, understand
from dovetail.host.records import FailureStage, PluginState
from dovetail.host.telling import table_of, tell_failed, tell_started, tell_stopped
from dovetail.services.registry import ServiceRegistry
from dovetail.services.service import ContextAwareService

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from dovetail.component import Component
    from dovetail.config import RawConfig
    from dovetail.host.planning import Key
    from dovetail.host.records import Failure, PluginRecord
    from dovetail.sessions.store import SessionStore

log = structlog.get_logger("dovetail")

LONGEST_RETRY = 60.0
"""Seconds between two tries of a component that is not ready, at most."""


@dataclass(frozen=True, slots=True)
class Reload:
    """What a reload did, by the tables' names."""

    started: tuple[str, ...]
    stopped: tuple[str, ...]
    """These stop when no running turn uses them any more."""
    kept: tuple[str, ...]
    needs_restart: tuple[str, ...]
    """These were changed in the config but cannot be replaced while running."""


class Host:
    """Owns every component that runs."""

    def __init__(
        self,
        records: dict[str, PluginRecord],
        container: SmartDependencyContainer | None = None,
        services: ServiceRegistry | None = None,
    ) -> None:
        self.records = records
        self._container = container or SmartDependencyContainer()
        self._services = services or ServiceRegistry()
        self.loader = PluginLoader(records)
        self._running: list[Instance] = []
        self._generation: Generation | None = None
        self._retries: dict[str, asyncio.Task[None]] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()
        self.bus: InProcessEventBus | None = None
        """There before any component starts; it stays the same as long as the host runs."""
        self._closed = False

    @property
    def generation(self) -> Generation:
        """The current generation."""
        if self._generation is None:
            message = "the kernel is still starting"
            raise KernelClosed(message)
        return self._generation

    @property
    def store(self) -> SessionStore:
        """The session store; it stays the same as long as the host runs."""
        found = next(i for i in self._running if i.planned.entry.kind == "sessions")
        return cast("SessionStore", found.component)

    async def tell(self, event: str, data: Mapping[str, object]) -> None:
        """Tell event providers; also while the kernel closes, and keeps what was in flight."""
        await self.generation.events.dispatch(event, data)

    async def open(self, raw: RawConfig) -> None:
        """Load and start what the config names.

        Raises:
            ConfigError: the config is wrong; all mistakes at once.
            StartError: plugins broke that the config needs; all of them, and all mistakes.
        """
        try:
            reading, planned, quarantined = await self._plan(raw)
            self.bus = InProcessEventBus(reading.bus)
            await self.bus.start()
            failed = await start_all(planned, {}, reading.kernel, self._running, self._prepare)
            self._adopt(reading, self._running, failed, quarantined)
            self._listen(self._running)
            await tell_started(self.generation.events, self._running)
            await tell_failed(self.generation.events, self.generation.quarantined)
        except BaseException:
            await self.close()
            raise

    async def reload(self, raw: RawConfig) -> Reload:
        """Swap in what changed; running turns finish with what they began with.

        Raises:
            StartError: the new config cannot be used; nothing has changed.
        """
        async with self._changing:
            old = self.generation
            reading, planned, quarantined = await self._plan(raw)
            changes = compare(planned, old.instances)
            needs_restart = {*_tables(changes.stuck)}
            if self.bus is not None and reading.bus != self.bus.settings:
                needs_restart.add("[bus]")
            if reading.sessions != old.sessions:
                needs_restart.add("[sessions]")
                reading = replace(reading, sessions=old.sessions)
            started: list[Instance] = []
            running = {i.planned.key: i.component for i in changes.kept}
            quarantined += _still_broken(old, changes.kept)
            try:
                failed = await start_all(
                    changes.fresh, running, reading.kernel, started, self._prepare
                )
                if self._closed:
                    message = "the kernel was closed while it read its config again"
                    raise KernelClosed(message)
                self._adopt(reading, [*changes.kept, *started], failed, quarantined)
            except BaseException:
                await stop_all(started, reading.kernel.stop_timeout)
                raise
            self._running.extend(started)
            self._retire(old)
            self._listen(started)
            stopped = [i for i in old.instances if i not in self.generation.instances]
            report = Reload(
                _tables(started),
                _tables(stopped),
                _tables(changes.kept),
                tuple(sorted(needs_restart)),
            )
        await tell_started(self.generation.events, started)
        await self.generation.events.dispatch("config_reloaded", asdict(report))
        return report

    async def drain_events(self) -> None:
        """Wait until what waits in event providers' queues is delivered, each within its limit."""
        boxes = [i.mailbox for i in self._running if i.mailbox is not None]
        await asyncio.gather(*(box.drain() for box in boxes))

    async def close(self) -> list[Failure]:
        """Stop everything, in reverse order; gives what failed to stop."""
        self._closed = True
        tasks = [*self._retries.values(), *self._background]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.bus is not None:
            await self.bus.stop()
        limit = self._generation.kernel.stop_timeout if self._generation else 10.0
        running, self._running = self._running, []
        try:
            return await stop_all(running, limit)
        finally:
            _note_stopped(running, ())

    async def _plan(self, raw: RawConfig) -> tuple[Reading, list[Planned], list[Failure]]:
        reading = understand(raw)
        plan = await make_plan(reading.config, self.loader, reading.kernel.import_timeout)
        problems = in_order((*reading.problems, *plan.problems), raw.files)
        if plan.failures:
            raise StartError(problems, plan.failures)
        if problems:
            raise ConfigError(problems)
        return reading, plan.planned, plan.quarantined

    def _adopt(
        self,
        reading: Reading,
        instances: Sequence[Instance],
        failed: Sequence[tuple[Planned, Failure]],
        quarantined: Sequence[Failure],
    ) -> None:
        """Make a generation of what runs current, unless something failed that must work."""
        if fatal := _fatal(failed):
            raise StartError((), fatal)
        absent = [failure for _, failure in failed]
        for failure in (*quarantined, *absent):
            message = f"an optional component is out of order: {failure}"
            log.warning(message)
        self._offer_services(instances)  # it may refuse, and then nothing has changed
        self._generation = Generation(
            reading,
            instances,
            [*quarantined, *absent],
        )
        self.loader.active = frozenset(entry.plugin for entry in reading.config.entries)
        self._retry_later([(p, f) for p, f in failed if isinstance(f.cause, NotReady)])

    def _replace(
        self, old: Generation, instances: Sequence[Instance], quarantined: Sequence[Failure]
    ) -> None:
        """Go on with other components under the same config."""
        self._offer_services(instances)
        self._generation = Generation(old.reading, instances, quarantined)
        self._retire(old)

    def _offer_services(self, instances: Sequence[Instance]) -> None:
        services = [i.component for i in instances if i.planned.entry.kind == "service"]
        self._services.discover({service.name: service for service in services})

    def _retire(self, old: Generation) -> None:
        old.retire()
        self._in_background(self._stop_unused(old))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _stop_unused(self, old: Generation) -> None:
        """Once no turn uses `old`, stop what no other generation has."""
        await old.retired.wait()
        unused = []
        for instance in old.instances:
            instance.holders -= 1
            if instance.holders == 0:
                unused.append(instance)
        await stop_all(unused, old.kernel.stop_timeout)
        self._running = [i for i in self._running if i not in unused]
        _note_stopped(unused, self._running)
        await tell_stopped(self.generation.events, unused)

    def _retry_later(self, failed: Sequence[tuple[Planned, Failure]]) -> None:
        for task in self._retries.values():
            task.cancel()
        self._retries = {}
        for planned, failure in failed:
            self._retries[table_of(planned)] = asyncio.create_task(self._retry(planned, failure))

    async def _retry(self, planned: Planned, failure: Failure) -> None:
        """Start a component that was not ready again and again, and take it in when it is."""
        pause = self.generation.kernel.retry_interval
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_RETRY)
            async with self._changing:
                if await self._try_again(planned, failure):
                    return

    async def _try_again(self, planned: Planned, failure: Failure) -> bool:
        old = self.generation
        started: list[Instance] = []
        try:
            running = {i.planned.key: i.component for i in old.instances}
            failed = await start_all([planned], running, old.kernel, started, self._prepare)
            if failed:
                return self._still_failing(failure, failed[0][1])
            quarantined = [known for known in old.quarantined if known is not failure]
            self._replace(old, [*old.instances, *started], quarantined)
        except DuplicateService as error:
            await stop_all(started, old.kernel.stop_timeout)
            return self._still_failing(failure, planned.fail(FailureStage.START, error))
        except BaseException:
            await stop_all(started, old.kernel.stop_timeout)
            raise
        self._running.extend(started)
        self._listen(started)
        message = f"an optional component is ready now: {table_of(planned)}"
        log.info(message)
        await tell_started(self.generation.events, started)
        return True

    def _prepare(self, component: Component) -> None:
        if isinstance(component, ContextAwareService):
            component.dependency_container = self._container

    def _listen(self, instances: Sequence[Instance]) -> None:
        """Hear from now on of components that break while they run."""
        for instance in instances:
            instance.when_broken(self._broke)

    def _broke(self, instance: Instance) -> None:
        if not self._closed:
            self._in_background(self._take_out(instance))

    async def _take_out(self, broken: Instance) -> None:
        """Take a component that broke out of service, with what needs it.

        If it is optional, these are tried again. A session store stays: there is no other.
        """
        async with self._changing:
            old = self.generation
            if broken not in old.instances:
                return  # a reload has replaced it
            stays = broken.planned.entry.kind == "sessions"
            needing = [] if stays else dependants(broken, old.instances)
            out = [] if stays else [broken, *needing]
            failures = [_breakage(broken), *(_fallen(i, broken) for i in needing)]
            kept = [i for i in old.instances if i not in out]
            self._replace(old, kept, [*old.quarantined, *failures])
            failures[0] = await self._explain(broken, failures[0])
            log.error(str(failures[0]))
            await tell_failed(self.generation.events, failures)
            plugin = broken.planned.record
            if all(i.planned.record is not plugin for i in kept if i is not broken):
                plugin.state = PluginState.FAILED
            if broken.planned.entry.optional:
                for instance, failure in zip(out, failures, strict=True):
                    planned = instance.planned
                    retry = asyncio.create_task(self._retry(planned, failure))
                    self._retries[table_of(planned)] = retry

    async def _explain(self, broken: Instance, failure: Failure) -> Failure:
        """Its failure with the cause, which only comes out as it is stopped."""
        cause = await stop_broken(broken, self.generation.kernel.stop_timeout)
        if cause is None:
            return failure
        explained = replace(failure, cause=cause)
        self.generation.quarantined = tuple(
            explained if known is failure else known for known in self.generation.quarantined
        )
        return explained

    def _still_failing(self, before: Failure, now: Failure) -> bool:
        """Whether to give it up: it fails for another reason now."""
        if isinstance(now.cause, NotReady):
            return False
        message = f"an optional component is out of order: {now}"
        log.warning(message)
        self.generation.quarantined = tuple(
            now if known is before else known for known in self.generation.quarantined
        )
        return True


def _fatal(failed: Sequence[tuple[Planned, Failure]]) -> list[Failure]:
    """What must work and failed, with whatever optional it failed for."""
    found: list[Failure] = []
    needed: set[Key] = set()
    for planned, failure in reversed(failed):  # what a component needs comes before it
        if not planned.entry.optional or planned.key in needed:
            found.insert(0, failure)
            needed |= planned.needs
    return found


def _still_broken(old: Generation, kept: Sequence[Instance]) -> list[Failure]:
    """The failures of what broke and stays nevertheless: the session store."""
    places = {instance.planned.where for instance in kept}
    return [f for f in old.quarantined if f.stage is FailureStage.RUN and f.component in places]


def _breakage(broken: Instance) -> Failure:
    hint = (
        "it is tried again in the background"
        if broken.planned.entry.optional
        else "reload or restart; with `optional = true` in its table it is tried again by itself"
    )
    cause = PluginError("a task that its `start()` left running has failed")
    return broken.planned.fail(FailureStage.RUN, cause, hint)


def _fallen(instance: Instance, broken: Instance) -> Failure:
    cause = NotReady(f"it needs `{broken.planned.entry.name}`, which broke")
    return instance.planned.fail(FailureStage.RUN, cause, "mend that one first")


def _note_stopped(stopped: Sequence[Instance], running: Sequence[Instance]) -> None:
    """Set the state of the plugins of which nothing runs any more."""
    still = {instance.planned.record.plugin_id for instance in running}
    for instance in stopped:
        record = instance.planned.record
        if record.plugin_id not in still and record.state is not PluginState.FAILED:
            record.state = PluginState.STOPPED


def _tables(instances: Sequence[Instance]) -> tuple[str, ...]:
    return tuple(table_of(instance.planned) for instance in instances)
