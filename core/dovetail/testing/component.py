"""What holds for every component, whatever its kind: hooks, settings, life, and import."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import pytest
from pydantic import BaseModel, ValidationError

from dovetail.config.entries import RESERVED_KEYS
from dovetail.errors import ConfigError
from dovetail.host.discovery import API
from dovetail.host.loading import ENTRY_KINDS, KINDS
from dovetail.redaction import looks_secret
from dovetail.refs import refs_in
from dovetail.testing.cost import import_cost
from dovetail.testing.leaks import Census, OutOfTimeError, within
from dovetail.testing.loop import BoundedLoop
from dovetail.testing.subject import INSTANCE, Subject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pydantic.fields import FieldInfo

    from dovetail.component import Component, Settings
    from dovetail.kernel import Kernel

UNKNOWN = "no_such_setting"
PATIENCE_LEFT = 5.0


class ComponentContract:
    """The base of the contracts; subclass the one of your component's kind.

    Give one fixture `subject`, sync or async, that returns a `Subject`. What a test promises, and
    how to mend a component that fails it, is in the test's docstring.
    """

    pytestmark = pytest.mark.anyio

    hook: ClassVar[str] = ""
    """The hook that returns the class."""
    may_import: ClassVar[tuple[str, ...]] = ()
    """Top-level packages that importing the plugin may load, beside dovetail's own."""
    may_cost: ClassVar[float] = 3.0
    """How long importing it may take, as a multiple of importing the kernel."""
    patience: ClassVar[float] = 60.0
    """Seconds that an answer, a start or a stop may take."""

    @pytest.fixture(scope="session")
    @staticmethod
    def anyio_backend() -> tuple[str, dict[str, Any]]:
        """The kernel is an asyncio program, on a loop that nothing holds for ever."""
        return "asyncio", {"loop_factory": BoundedLoop}

    @pytest.fixture
    def subject(self) -> Subject:
        """What is tested; override it."""
        pytest.fail("give a fixture `subject` that returns a `dovetail.testing.Subject`")

    @asynccontextmanager
    async def in_time(self, what: str) -> AsyncIterator[None]:
        """Fail, saying that `what` did not come, if the body takes longer than `patience`.

        Once that has happened, no later test of the class has as much patience: it fails in any
        case, and shall do so before its author has given up.
        """
        try:
            async with within(self.patience, what):
                yield
        except OutOfTimeError:
            type(self).patience = min(self.patience, PATIENCE_LEFT)
            raise

    @pytest.fixture
    async def kernel(self, subject: Subject) -> AsyncIterator[Kernel]:
        """A kernel that runs the subject, and nothing of the machine's own config."""
        kernel = self.open(subject)
        async with self.in_time("the kernel did not start with it"):
            await kernel.start()
        try:
            yield kernel
        finally:
            async with self.in_time("the kernel did not close"):
                await kernel.close()

    def open(self, subject: Subject) -> Kernel:
        """A kernel for the subject, not started."""
        raise AssertionError("use the contract of the component's kind")

    def find(self, kernel: Kernel) -> Component:
        """The running component that is tested."""
        raise AssertionError("use the contract of the component's kind")

    async def use(self, kernel: Kernel) -> None:
        """Have the component do what it is for, once."""
        raise AssertionError("use the contract of the component's kind")

    async def test_its_hooks_return_classes(self, subject: Subject) -> None:
        """A hook returns classes of its kind, never instances: the kernel makes them.

        Mend: `return [MyClass]`, not `return [MyClass()]`.
        """
        base = KINDS[self.hook]
        answers = subject.answers(self.hook)
        assert answers, f"the hook `{self.hook}` of `{subject.plugin_id}` returns nothing"
        for cls in answers:
            assert isinstance(cls, type), f"the hook `{self.hook}` returned {cls!r}, no class"
            assert issubclass(cls, base), f"`{cls.__name__}` is no `{base.__name__}`"

    async def test_every_setting_is_described(self, subject: Subject) -> None:
        """`dovetail plugins show` and editors tell an operator what each setting is.

        Mend: `Field(description="…")` for each field, also in models inside it.
        """
        bare = [
            path
            for path, field in _fields(subject.settings_model(self.hook))
            if not (field.description or "").strip()
        ]
        assert not bare, f"settings without a description: {', '.join(bare)}"

    async def test_secrets_are_secret(self, subject: Subject) -> None:
        """A setting whose name looks secret is a `SecretStr`, so that no output shows it.

        Mend: annotate it with `pydantic.SecretStr`, and call `.get_secret_value()` where it is
        sent; or rename it if it is none.
        """
        shown = [
            path
            for path, field in _fields(subject.settings_model(self.hook))
            if looks_secret(path.rpartition(".")[2]) and _holds_text(field.annotation)
        ]
        assert not shown, f"settings that look secret and are plain text: {', '.join(shown)}"

    async def test_an_unknown_setting_is_refused(self, subject: Subject) -> None:
        """A typo in the config is an error that names it, never silently ignored.

        Mend: derive the settings from `dovetail.Settings` and leave its `extra="forbid"`.
        """
        model = subject.settings_model(self.hook)
        if model is not None:
            with pytest.raises(ValidationError) as caught:
                model.model_validate({**subject.settings, UNKNOWN: 1})
            kinds = {e["type"] for e in caught.value.errors() if UNKNOWN in e["loc"]}
            assert kinds == {"extra_forbidden"}, f"`{UNKNOWN}` was not refused as unknown: {kinds}"
        table = {**subject.settings, UNKNOWN: 1}
        wrong = Subject(
            subject.plugin, table, subject.model, subject.env, subject.component, subject.config
        )
        kernel = self.open(wrong)
        try:
            with pytest.raises(ConfigError, match=UNKNOWN):
                await kernel.start()
        finally:
            await kernel.close()

    async def test_the_hosts_own_words_are_left_alone(self, subject: Subject) -> None:
        """`use`, `optional`, and in `[sessions]` the manager's keys, are not the plugin's.

        Mend: rename the field, and its aliases.
        """
        taken = set(_input_names(subject.settings_model(self.hook)))
        words = sorted(taken & RESERVED_KEYS[ENTRY_KINDS[self.hook]])
        assert not words, f"its settings declare words of the host's own: {', '.join(words)}"

    async def test_stopping_is_always_safe(self, subject: Subject, kernel: Kernel) -> None:
        """`stop()` may come after a `start()` that failed at its first line, and twice.

        Mend: set what `start()` opens to None in `__init__`, and in `stop()` close what is there
        and set it to None again.
        """
        component = self._another(subject, kernel)
        async with self.in_time("it did not start and stop"):
            await component.stop()
            if not type(component).exclusive:
                await component.start()
                await component.stop()
                await component.stop()

    async def test_closing_leaves_nothing_behind(self, subject: Subject) -> None:
        """Opened, used and closed again and again, it leaves no task, thread, file or socket.

        Mend: close in `stop()` what `start()` or a call opened, and await the tasks you cancel.
        """
        times = 3
        await self._open_and_close(subject)  # what a first use opens for good is no leak
        census = Census.take()
        for _ in range(times):
            await self._open_and_close(subject)
        left = await census.settled(times)
        assert not left, f"opening and closing it {times} times left {'; '.join(left)}"

    async def test_importing_it_drags_nothing_in(self, subject: Subject) -> None:
        """Importing the plugin loads the standard library, dovetail's own dependencies and itself.

        Mend: import a heavy library in the function that needs it; or name it in `may_import`.
        """
        cost = import_cost(subject.plugin, _module(subject), subject.env)
        if cost is not None:
            print(cost)  # noqa: T201 - shown by `pytest -rP`
            extra = sorted(set(cost.packages) - set(self.may_import))
            assert not extra, f"{cost}; not in `may_import`: {', '.join(extra)}"

    async def test_importing_it_is_quick(self, subject: Subject) -> None:
        """Importing the plugin takes no more than `may_cost` times what the kernel takes.

        Mend: as above, and do no work at import: no file, no network, no table that is computed.
        """
        module = _module(subject)
        cost = import_cost(subject.plugin, module, subject.env)
        if cost is not None and cost.seconds > self.may_cost * cost.base_seconds:
            # The machine may have been busy just then: the better of two counts.
            cost = import_cost(subject.plugin, module, subject.env, again=True)
            assert cost is not None
            limit = self.may_cost * cost.base_seconds
            assert cost.seconds <= limit, f"{cost}; more than {self.may_cost:g} times as long"

    async def test_its_entry_point_is_right(self, subject: Subject) -> None:
        """An installed plugin is found by its id, for this API, and no other has the same id.

        Mend: in pyproject.toml `[project.entry-points."dovetail.v1"]`, `id = "module"`; the id is
        in lower case and has no blank, `/` or `:`, since it is written in configs.
        """
        if not subject.installed:
            return
        record = subject.record()
        plugin_id = subject.plugin_id
        assert record is not None, f"no installed distribution has the entry point `{plugin_id}`"
        assert record.api == API, f"`{plugin_id}` is for plugin API {record.api}, not {API}"
        others = [other.distribution for other in record.clash]
        assert not others, f"other distributions offer `{plugin_id}` too: {', '.join(others)}"
        plain = plugin_id.replace("-", "").replace("_", "").isalnum()
        assert plain and plugin_id == plugin_id.lower(), f"`{plugin_id}` should be a plain word"
        assert record.version, f"`{record.distribution}` has no version"

    async def _open_and_close(self, subject: Subject) -> None:
        limit = self.in_time("the kernel did not open, answer and close")
        async with limit, self.open(subject) as kernel:
            await self.use(kernel)

    def _another(self, subject: Subject, kernel: Kernel) -> Component:
        """One more of the same class with the same settings, made as the kernel makes it."""
        running: Any = self.find(kernel)
        component: Any = type(running)()
        component.instance = INSTANCE
        settings: Settings | None = getattr(running, "settings", None)
        if settings is not None:
            component.settings = settings
            for ref in refs_in(settings):
                ref.bind(kernel.generation.providers[ref.instance])
        found: Component = component
        return found


def _module(subject: Subject) -> str:
    record = subject.record()
    return record.module if record is not None else ""


def _fields(
    model: type[BaseModel] | None, path: str = "", above: tuple[type, ...] = ()
) -> Iterator[tuple[str, FieldInfo]]:
    """Every field by its dotted path, also in models inside the model."""
    for name, field in model.model_fields.items() if model is not None else ():
        yield f"{path}{name}", field
        for inner in _models_in(field.annotation):
            if inner not in above:
                yield from _fields(inner, f"{path}{name}.", (*above, inner))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _holds_text(annotation: Any) -> bool:
    return annotation is str or any(_holds_text(argument) for argument in get_args(annotation))


def _input_names(model: type[BaseModel] | None) -> Iterator[str]:
    """Every word that a table for `model` may hold."""
    for name, field in model.model_fields.items() if model is not None else ():
        yield name
        aliases = getattr(field.validation_alias, "choices", [field.validation_alias, field.alias])
        yield from (alias for alias in aliases if isinstance(alias, str))
