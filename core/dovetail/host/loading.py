"""Importing the chosen plugins and asking them for their components, each on its own."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import pluggy
from pydantic import AliasChoices

from dovetail import hookspecs as specs
from dovetail.chat.providers import ChatProvider, EmbeddingProvider, Provider
from dovetail.component import Component, settings_type
from dovetail.config.entries import RESERVED_KEYS
from dovetail.config.nearest import nearest
from dovetail.container import DependencyProvider
from dovetail.errors import PluginError
from dovetail.events.provider import EventProvider, check_event_provider
from dovetail.host.discovery import API
from dovetail.host.importing import TookTooLong, call_in_thread, import_object
from dovetail.host.parts import PART_HOOKS, check_parts, shared_of
from dovetail.host.records import FailureStage, PluginRecord, PluginState, describe
from dovetail.middleware import Middleware, check_middleware
from dovetail.pipeline.executor import StageExecutor, check_executor
from dovetail.services.service import ContextAwareService
from dovetail.sessions.store import SessionStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from dovetail.config.entries import Kind

KINDS: dict[str, type[Component]] = {
    "providers": Provider,
    "middleware": Middleware,
    "session_stores": SessionStore,
    "dependency_providers": DependencyProvider,
    "services": ContextAwareService,
    "stage_executors": StageExecutor,
}
"""The hooks that give components, and what each must be."""

ENTRY_KINDS: dict[str, Kind] = {
    "providers": "provider",
    "middleware": "middleware",
    "session_stores": "sessions",
    **PART_HOOKS,
}
"""Where a record holds components, and the kind of table each is for."""


class PluginLoader:
    """Loads plugins once; a plugin that breaks has its `failure` set and harms no other."""

    def __init__(self, records: dict[str, PluginRecord]) -> None:
        self.records = records
        self.active: frozenset[str] = frozenset()
        """The plugins that the config in effect names; a reload may leave others loaded."""
        self._hosts: set[str] = set()
        self._manager = pluggy.PluginManager(specs.PROJECT)
        self._manager.add_hookspecs(specs)

    async def load(self, plugin_ids: Iterable[str], limit: float) -> None:
        """Import, register and ask those of `plugin_ids` that are not loaded yet.

        A plugin that failed before is tried again. Importing takes at most `limit` seconds each.
        """
        chosen = [self.records[i] for i in plugin_ids if i in self.records]
        fresh = [record for record in chosen if not record.loaded]
        for record in fresh:
            record.failure = None
            await self._import(record, limit)
        for record in filter(_healthy, fresh):
            await self._take_specs(record, limit)
        for record in filter(_healthy, fresh):
            self._register(record)
        self._manager.check_pending()
        for record in filter(_healthy, fresh):
            await self._ask(record, limit)

    def collect(self, hook: str, **arguments: object) -> list[tuple[str, Any]]:
        """What each active plugin answers to `hook`, by plugin id.

        Raises:
            PluginError: no plugin has declared such a hook, or one of the answers raised.
        """
        caller = getattr(self._manager.hook, hook, None)
        if caller is None or not caller.has_spec():
            message = f"no loaded plugin declares the hook `{hook}`; load the one that does"
            raise PluginError(message)
        answers: list[tuple[str, Any]] = []
        for plugin_id, plugin in self._manager.list_name_plugin():
            if plugin_id not in self.active:
                continue
            if all(impl.plugin is not plugin for impl in caller.get_hookimpls()):
                continue
            try:
                answers.extend(
                    (plugin_id, answer) for answer in self._call(plugin, hook, arguments)
                )
            except Exception as error:
                message = f"plugin `{plugin_id}` failed in the hook `{hook}`: {describe(error)}"
                raise PluginError(message) from error
        return answers

    async def _import(self, record: PluginRecord, limit: float) -> None:
        if record.clash:
            others = ", ".join(f"{r.distribution} {r.version}" for r in (record, *record.clash))
            error = PluginError(
                f"several distributions offer the id `{record.plugin_id}`: {others}"
            )
            _fail(record, FailureStage.DISCOVER, error, "uninstall all but one of them")
        elif record.api != API:
            error = PluginError(
                f"it is for plugin API version {record.api}; this kernel speaks version {API}"
            )
            hint = f"install a release of `{record.distribution}` for version {API}"
            _fail(record, FailureStage.DISCOVER, error, hint)
        elif record.plugin is None:
            work = partial(import_object, record.module)
            try:
                record.plugin, record.import_seconds = await call_in_thread(
                    work, limit, f"importing `{record.module}`"
                )
            except Exception as error:  # noqa: BLE001 - whatever the module raises is its failure, not ours
                _fail(record, FailureStage.IMPORT, error, _import_hint(record, error))

    async def _take_specs(self, record: PluginRecord, limit: float) -> None:
        plugin: Any = record.plugin
        if record.plugin_id in self._hosts:
            return  # it declared them before it failed at something else
        try:
            found = hasattr(plugin, "hookspecs")
            if not found or self._manager.parse_hookimpl_opts(plugin, "hookspecs") is None:
                return
            work = partial(_listed, lambda: [plugin.hookspecs()], "hookspecs")
            for module in await call_in_thread(work, limit, "the hook `hookspecs`"):
                self._manager.add_hookspecs(module)
        except Exception as error:  # noqa: BLE001 - the plugin's own code
            hint = _slow_hint(error) or "see its hook `hookspecs`"
            _fail(record, FailureStage.REGISTER, error, hint)
        else:
            self._hosts.add(record.plugin_id)

    def _register(self, record: PluginRecord) -> None:
        try:
            hash(record.plugin)  # pluggy keeps plugins in sets: one that cannot be would harm all
            if not self._manager.has_plugin(record.plugin_id):  # it is if loading was cancelled
                self._manager.register(record.plugin, record.plugin_id)
            self._check_known(record)
        except Exception as error:  # noqa: BLE001 - the plugin's own code, or what pluggy says of it
            if self._manager.has_plugin(record.plugin_id):
                self._manager.unregister(name=record.plugin_id)
            _fail(record, FailureStage.REGISTER, error, "the hooks are in dovetail/hookspecs.py")

    def _check_known(self, record: PluginRecord) -> None:
        callers = self._manager.get_hookcallers(record.plugin) or []
        if not callers:
            message = f"`{record.module}` implements no hook; mark its functions with `@hookimpl`"
            raise PluginError(message)
        known = [name for name in vars(self._manager.hook) if not name.startswith("_")]
        known = [name for name in known if getattr(self._manager.hook, name).has_spec()]
        for caller in callers:
            impls = [i for i in caller.get_hookimpls() if i.plugin is record.plugin]
            if caller.has_spec() or all(impl.optionalhook for impl in impls):
                continue
            near = nearest(caller.name, known)
            guess = f"; did you mean `{near}`?" if near else ""
            message = (
                f"it implements the hook `{caller.name}`, which neither this kernel nor a loaded "
                f"plugin declares{guess} (the hooks are {', '.join(sorted(known))}), "
                "or load the plugin that declares it, with [plugins.ID]"
            )
            raise PluginError(message)

    async def _ask(self, record: PluginRecord, limit: float) -> None:
        for hook, base in KINDS.items():
            work = partial(_listed, partial(self._call, record.plugin, hook, {}), hook)
            try:
                classes = await call_in_thread(work, limit, f"the hook `{hook}`")
                for cls in classes:
                    check_component(cls, base, hook)
                _check_names(classes, hook)
            except Exception as error:  # noqa: BLE001 - the plugin's own code
                hint = _slow_hint(error) or f"see its hook `{hook}`"
                _fail(record, FailureStage.REGISTER, error, hint)
                self._manager.unregister(name=record.plugin_id)
                return
            record.components[hook] = classes
        try:
            record.components["shared"] = _shared(record)
            check_parts(record)
        except Exception as error:  # noqa: BLE001 - the plugin's own code
            _fail(record, FailureStage.REGISTER, error, "see what its components share")
            self._manager.unregister(name=record.plugin_id)
            return
        record.state = PluginState.LOADED

    def _call(self, plugin: object, hook: str, arguments: dict[str, object]) -> list[Any]:
        others = [p for p in self._manager.get_plugins() if p is not plugin]
        caller = self._manager.subset_hook_caller(hook, remove_plugins=others)
        answer: Any = caller(**arguments)
        if caller.spec is not None and caller.spec.opts["firstresult"]:
            return [] if answer is None else [answer]
        return list(answer)


def _shared(record: PluginRecord) -> list[type[Component]]:
    shared = shared_of(c for classes in record.components.values() for c in classes)
    for cls in shared:
        check_component(cls, Component, "shared")
    return shared


def _listed(ask: Callable[[], list[Any]], hook: str) -> list[Any]:
    """The items of all answers; a hook may be a generator, so this is the plugin's code too."""
    answers = ask()
    for answer in answers:
        if inspect.iscoroutine(answer):
            answer.close()
            message = f"the hook `{hook}` is a coroutine; make it a plain function"
            raise PluginError(message)
        if isinstance(answer, type) or not isinstance(answer, Iterable):
            message = f"the hook `{hook}` returned {answer!r}; it returns a list"
            raise PluginError(message)
    return [item for answer in answers for item in answer]


def check_component(cls: object, base: type[Component], hook: str) -> None:
    """Refuse what a hook may not return.

    Raises:
        PluginError: saying what it is and what is wanted.
    """
    if not isinstance(cls, type):
        message = f"the hook `{hook}` returned {cls!r}; it returns classes, not instances"
        raise PluginError(message)
    if not issubclass(cls, base):
        message = f"the hook `{hook}` returned `{cls.__name__}`, which is no `{base.__name__}`"
        raise PluginError(message)
    if inspect.isabstract(cls):
        missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
        message = f"`{cls.__name__}` does not override {missing}"
        raise PluginError(message)
    if issubclass(cls, ChatProvider):
        _check_chat(cls)
    elif base is Provider and not issubclass(cls, (EmbeddingProvider, EventProvider)):
        message = (
            f"`{cls.__name__}` is no `ChatProvider`, no `EmbeddingProvider` and no `EventProvider`"
        )
        raise PluginError(message)
    if issubclass(cls, EventProvider):
        check_event_provider(cls)
    if issubclass(cls, StageExecutor):
        check_executor(cls)
    if issubclass(cls, Middleware):
        check_middleware(cls)
    _check_settings(cls, hook)


def _check_names(classes: list[type[Component]], hook: str) -> None:
    names = [cls.name for cls in classes]
    for name in names:
        if names.count(name) > 1:
            message = f"the hook `{hook}` returned two components called `{name}`; rename one"
            raise PluginError(message)


def _check_settings(cls: type[Component], hook: str) -> None:
    model = settings_type(cls)
    fields = model.model_fields if model is not None else {}
    taken = set(fields)
    for field in fields.values():
        alias = field.validation_alias or field.alias
        taken.update(map(str, alias.choices if isinstance(alias, AliasChoices) else [alias]))
    for word in sorted(taken & RESERVED_KEYS[ENTRY_KINDS[hook]]):
        message = (
            f"`{cls.__name__}.settings` declares `{word}`, a word of the host's own; rename it"
        )
        raise PluginError(message)


def _check_chat(cls: type[ChatProvider]) -> None:
    whole = cls.send_message is not ChatProvider.send_message
    stream = cls.send_message_stream is not ChatProvider.send_message_stream
    if not whole and not stream:
        message = f"`{cls.__name__}` overrides neither `send_message_stream` nor `send_message`"
        raise PluginError(message)
    if stream and inspect.iscoroutinefunction(cls.send_message_stream):
        message = (
            f"`{cls.__name__}.send_message_stream` is a coroutine; "
            "make it an async generator by using `yield` in it"
        )
        raise PluginError(message)


def _healthy(record: PluginRecord) -> bool:
    return record.failure is None


def _fail(record: PluginRecord, stage: FailureStage, error: BaseException, hint: str) -> None:
    record.failure = record.fail(stage, error, hint)
    record.state = PluginState.FAILED


def _slow_hint(error: Exception) -> str:
    slow = isinstance(error, TookTooLong)
    return "raise `import_timeout` of [kernel] if it is only slow" if slow else ""


def _import_hint(record: PluginRecord, error: Exception) -> str:
    if isinstance(error, TookTooLong):
        return _slow_hint(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"`{error.name}` is missing: reinstall `{record.distribution or record.plugin_id}`"
    return (
        "report it to the plugin's author, take it out of the config, "
        "or mark its table `optional = true`"
    )
