"""From the config and the loaded plugins to the components that are to run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, TypeAlias

from dovetail.component import settings_type, shared_type
from dovetail.config.nearest import nearest
from dovetail.config.raw import leaves, secret_text
from dovetail.config.shape import secret_paths
from dovetail.config.validate import validate
from dovetail.errors import ConfigError, PluginError, Problem
from dovetail.host.choosing import HOOK_OF, WrongUse, choose
from dovetail.host.default_models import model_problems
from dovetail.host.importing import call_in_thread
from dovetail.host.parts import part_entries, unclaimed
from dovetail.host.records import Failure, FailureStage, PluginRecord
from dovetail.refs import refs_in

__all__ = ["HOOK_OF", "Plan", "Planned", "choose", "make_plan", "secrets_of"]

if TYPE_CHECKING:
    from dovetail.component import Component, Settings
    from dovetail.config import Config, Entry
    from dovetail.host.loading import PluginLoader
    from dovetail.refs import Ref


Key: TypeAlias = "tuple[str, str]"
"""What a component is known by: its kind and its name."""


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """One component that is to run."""

    entry: Entry
    record: PluginRecord
    component: type[Component]
    settings: Settings | None
    where: str
    """Its table's place in the config."""
    config: Config = field(repr=False)
    refs: tuple[Ref[Any], ...] = ()
    shared: Key | None = None
    """The component of its plugin that it shares with others."""

    @property
    def key(self) -> Key:
        """What it is known by."""
        return self.entry.kind, self.entry.name

    @property
    def needs(self) -> frozenset[Key]:
        """The components it cannot do without."""
        refs = frozenset(("provider", ref.instance) for ref in self.refs if not ref.soft)
        return refs if self.shared is None else refs | {self.shared}

    def same(self, other: Planned) -> bool:
        """Whether a component that runs for `other` can go on running for this."""
        return (
            self.entry.kind == other.entry.kind
            and self.entry.name == other.entry.name
            and self.component is other.component
            and self.settings == other.settings
        )

    def fail(self, stage: FailureStage, cause: BaseException, hint: str = "") -> Failure:
        """A failure of this component."""
        return self.record.fail(stage, cause, hint, self.where, self.secrets)

    @property
    def secrets(self) -> frozenset[str]:
        """Text of the config that must not be shown, should it come out of this component."""
        return secrets_of(self.config, self.entry, self.component)


@dataclass(slots=True)
class Plan:
    """What is to run, and what is wrong."""

    planned: list[Planned] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    """Mistakes in the config."""
    failures: list[Failure] = field(default_factory=list)
    """Plugins that the config needs and that broke."""
    quarantined: list[Failure] = field(default_factory=list)
    """Optional ones that broke; the rest runs without them."""


async def make_plan(config: Config, loader: PluginLoader, limit: float) -> Plan:
    """Load what `config` names and decide what runs; nothing is started.

    `limit` is how many seconds each plugin may take to import, to answer and to validate.
    """
    await loader.load(dict.fromkeys(entry.plugin for entry in config.entries), limit)
    planner = _Planner(config, loader, limit)
    for entry in config.entries:
        await planner.take(entry)
    await planner.take_parts()
    planner.check_refs()
    planner.check_cycles()
    planner.check_services()
    planner.plan.problems += model_problems(config, planner.plan.planned)
    return planner.plan


class _Planner:
    def __init__(self, config: Config, loader: PluginLoader, limit: float) -> None:
        self.config = config
        self.loader = loader
        self.limit = limit
        self.plan = Plan()

    async def take(self, entry: Entry) -> None:
        """Plan one table's component, or note what is wrong with it."""
        where = self.config.where(entry.path)
        record = self.loader.records.get(entry.plugin)
        if entry.kind == "sessions" and entry.optional:
            message = "the session store cannot be optional: without one there is no kernel"
            self.plan.problems.append(Problem(message, where, "take `optional` out"))
        if record is None:
            self._fail(entry, self._not_installed(entry, where))
        elif record.failure is not None:
            self._fail(entry, replace(record.failure, component=where))
        elif entry.kind == "plugin":
            self._check_claimed(entry, record)
        else:
            try:
                component = choose(record, HOOK_OF[entry.kind], entry.component)
            except WrongUse as error:
                problem = Problem(str(error), self._where_named(entry), error.hint)
                self._misconfigured(entry, record, ConfigError([problem]))
            else:
                await self._take_component(entry, record, component)

    async def take_parts(self) -> None:
        """Plan what acts by itself in the plugins that the config names."""
        by_plugin: dict[str, list[Entry]] = {}
        for entry in self.config.entries:
            by_plugin.setdefault(entry.plugin, []).append(entry)
        for plugin_id, entries in by_plugin.items():
            record = self.loader.records.get(plugin_id)
            if record is not None and record.failure is None:
                for part, entry in part_entries(record, entries):
                    await self._take_component(entry, record, part.component)
        needed = frozenset().union(*(planned.needs for planned in self.plan.planned))
        self.plan.planned = [
            planned
            for planned in self.plan.planned
            if planned.entry.kind != "shared" or planned.key in needed
        ]

    async def _take_component(
        self, entry: Entry, record: PluginRecord, component: type[Component]
    ) -> None:
        where = self.config.where(entry.path)
        try:
            planned = await self._planned(entry, record, component, where)
        except ConfigError as error:
            self._misconfigured(entry, record, error)
        except Exception as error:  # noqa: BLE001 - the plugin's validators may raise anything
            hint = f"see the settings of `{entry.plugin}`: dovetail plugins show {entry.plugin}"
            secrets = secrets_of(self.config, entry, component)
            self._fail(entry, record.fail(FailureStage.VALIDATE, error, hint, where, secrets))
        else:
            self.plan.planned.append(planned)

    def check_refs(self) -> None:
        """Every `Ref` names a provider that is there and fits; what is optional goes without."""
        providers = {p.entry.name: p for p in self.plan.planned if p.entry.kind == "provider"}
        named = {entry.name for entry in self.config.providers}
        for planned in tuple(self.plan.planned):
            problems = [
                problem
                for ref in planned.refs
                if (problem := self._check_ref(planned, ref, providers.get(ref.instance), named))
            ]
            if problems:
                self._misconfigured(planned.entry, planned.record, ConfigError(problems))
                self.plan.planned.remove(planned)

    def check_cycles(self) -> None:
        """No provider needs itself, not through others either."""
        graph = {p.key: p.needs for p in self.plan.planned}
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            path = " → ".join(f"`{name}`" for _, name in error.args[1])
            message = f"these providers need each other: {path}"
            self.plan.problems.append(Problem(message, "[providers]", "take one reference out"))

    def check_services(self) -> None:
        """No two services have one name."""
        by_name: dict[str, Planned] = {}
        for planned in self.plan.planned:
            if planned.entry.kind != "service":
                continue
            first = by_name.setdefault(planned.component.name, planned)
            if first is not planned:
                plugins = f"`{first.entry.plugin}` and `{planned.entry.plugin}`"
                message = f"the plugins {plugins} both bring a service `{planned.component.name}`"
                hint = "take one of them out of the config"
                self.plan.problems.append(Problem(message, planned.where, hint))

    async def _planned(
        self, entry: Entry, record: PluginRecord, component: type[Component], where: str
    ) -> Planned:
        model, shared = settings_type(component), _shared(record, component)
        if model is None:
            if entry.values:
                key = next(iter(entry.values))
                problem = Problem(
                    f"`{entry.plugin}` takes no settings", self.config.where((*entry.path, key))
                )
                raise ConfigError([problem])
            return Planned(entry, record, component, None, where, self.config, (), shared)
        work = partial(validate, model, entry.values, config=self.config.raw, path=entry.path)
        settings, problems = await call_in_thread(work, self.limit, "validating its settings")
        if settings is None:
            raise ConfigError(problems)
        refs = tuple(refs_in(settings))
        return Planned(entry, record, component, settings, where, self.config, refs, shared)

    def _check_claimed(self, entry: Entry, record: PluginRecord) -> None:
        for key in unclaimed(record, entry):
            problem = Problem(
                f"no part of `{record.plugin_id}` that acts by itself takes `{key}` as it is here",
                self.config.where((*entry.path, key)),
                "put the key into the table of the component it belongs to; "
                f"`dovetail plugins show {record.plugin_id}` shows them all",
            )
            self._misconfigured(entry, record, ConfigError([problem]))

    def _not_installed(self, entry: Entry, where: str) -> Failure:
        near = nearest(entry.plugin, self.loader.records)
        guess = f"did you mean `{near}`? Otherwise " if near else ""
        hint = (
            f"{guess}install it, by its usual name: pip install dovetail-{entry.plugin} "
            "(`dovetail plugins` lists what is installed)"
        )
        error = PluginError(f"no plugin `{entry.plugin}` is installed")
        failure = PluginRecord(entry.plugin, "").fail(FailureStage.DISCOVER, error, hint, where)
        return replace(failure, place=self._where_named(entry))

    def _where_named(self, entry: Entry) -> str:
        """The place that says which plugin it is: `use`, or the table if that is left to it."""
        use = (*entry.path, "use")
        return self.config.where(entry.path if self.config.raw.value(use) is None else use)

    def _misconfigured(self, entry: Entry, record: PluginRecord, error: ConfigError) -> None:
        if entry.optional:
            where = self.config.where(entry.path)
            self.plan.quarantined.append(record.fail(FailureStage.VALIDATE, error, "", where))
        else:
            self.plan.problems.extend(error.problems)

    def _fail(self, entry: Entry, failure: Failure) -> None:
        if entry.optional:
            self.plan.quarantined.append(failure)
        elif all(failure.cause is not known.cause for known in self.plan.failures):
            self.plan.failures.append(failure)  # a plugin that several tables name: once

    def _check_ref(
        self, planned: Planned, ref: Ref[Any], target: Planned | None, named: set[str]
    ) -> Problem | None:
        if target is None and ref.instance not in named:
            near = nearest(ref.instance, named)
            known = ", ".join(sorted(named)) or "none"
            hint = f"did you mean `{near}`?" if near else f"the instances are: {known}"
            message = f"there is no provider instance `{ref.instance}`"
            return Problem(message, planned.where, hint)
        if target and ref.expected and not issubclass(target.component, ref.expected):
            return Problem(f"`{ref}` is no {ref.expected.__name__}", planned.where)
        return None


def _shared(record: PluginRecord, component: type[Component]) -> Key | None:
    shared = shared_type(component)
    return None if shared is None else ("shared", f"{record.plugin_id}:{shared.name}")


def secrets_of(config: Config, entry: Entry, component: type[Component] | None) -> frozenset[str]:
    """What no message about a table may show, though a plugin's own words may hold it."""
    try:
        model = settings_type(component) if component else None
        paths = secret_paths(model, entry.values, entry.path) if model else frozenset()
        declared = {secret_text(config.raw.value(path)) for path in paths}
    except Exception:  # noqa: BLE001 - a model that has no schema: anything might be secret
        declared = {secret_text(value) for _, value in leaves(entry.values)}
    return config.raw.secrets() | declared
