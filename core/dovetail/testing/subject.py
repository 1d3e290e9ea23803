"""What a contract is run against."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pluggy

from dovetail import hookspecs
from dovetail.component import settings_type
from dovetail.errors import PluginError
from dovetail.host.discovery import discover
from dovetail.host.importing import import_object
from dovetail.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from dovetail.component import Component, Settings
    from dovetail.host.records import PluginRecord

INSTANCE = "subject"
"""The subject's name in the config that a contract makes."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The component to test, and what it needs in order to work."""

    plugin: object
    """The id of an installed plugin, `id:component`, or a plugin itself: a module with hooks."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """What its table in the config holds."""
    model: str = ""
    """For a provider: the model to talk to; empty for its default."""
    env: Mapping[str, str] = field(default_factory=dict)
    """The environment that `${NAME}` in the settings sees."""
    component: str = ""
    """The component's name, if a plugin given as a module offers several."""
    config: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """More tables, such as `{"providers": {"other": {…}}}` for what the settings refer to."""

    @property
    def installed(self) -> bool:
        """Whether it is named by the id of an installed plugin."""
        return isinstance(self.plugin, str)

    @property
    def plugin_id(self) -> str:
        """The plugin's id; `subject` for one that is given as a module."""
        return self.plugin.partition(":")[0] if isinstance(self.plugin, str) else INSTANCE

    @property
    def component_name(self) -> str:
        """The component that is named, or nothing."""
        if isinstance(self.plugin, str):
            return self.plugin.partition(":")[2] or self.component
        return self.component

    @property
    def table(self) -> dict[str, object]:
        """Its table in the config."""
        name = self.component_name
        use = f"{self.plugin_id}:{name}" if name else self.plugin_id
        return {"use": use, **self.settings}

    def open(self, config: Mapping[str, object], **plugins: ModuleType) -> Kernel:
        """A kernel with `config`, the subject's own further tables, and `plugins` by id.

        It is not started.
        """
        tables: dict[str, object] = {**config}
        for name, table in self.config.items():
            known = tables.get(name)
            tables[name] = {**table, **known} if isinstance(known, dict) else table
        kernel = Kernel.open(tables, env=self.env)
        if not self.installed:
            kernel.register(self.plugin_id, self.plugin)
        for plugin_id, plugin in plugins.items():
            kernel.register(plugin_id, plugin)
        return kernel

    def record(self) -> PluginRecord | None:
        """What the scan of the installed distributions found of it."""
        return discover().get(self.plugin_id) if self.installed else None

    def load(self) -> object:
        """The plugin itself: a module or object with hooks.

        Raises:
            PluginError: no such plugin is installed.
        """
        if not self.installed:
            return self.plugin
        record = self.record()
        if record is None:
            message = (
                f"no plugin `{self.plugin_id}` can be seen: install its distribution (`pip install "
                "-e .`), and if the tests run with `-p dovetail.testing.pytest_plugin`, see which "
                "plugins it names at the top of the run"
            )
            raise PluginError(message)
        return import_object(record.module)[0]

    def answers(self, hook: str) -> list[Any]:
        """What the plugin's `hook` returns, unchecked; empty if it does not implement it."""
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        manager.register(self.load(), self.plugin_id)
        return [item for answer in getattr(manager.hook, hook)() for item in answer]

    def component_class(self, hook: str) -> type[Component]:
        """The class that is tested.

        Raises:
            PluginError: its hook returns none, or several of which none is named.
        """
        classes = self.answers(hook)
        wanted = self.component_name or (self.plugin_id if len(classes) > 1 else "")
        for cls in classes:
            if not wanted or getattr(cls, "name", "") == wanted:
                found: type[Component] = cls
                return found
        names = ", ".join(str(getattr(cls, "name", cls)) for cls in classes) or "none"
        message = (
            f"the hook `{hook}` of `{self.plugin_id}` returns {names}; "
            "name one: Subject('id:component'), or Subject(module, component='name')"
        )
        raise PluginError(message)

    def settings_model(self, hook: str) -> type[Settings] | None:
        """The settings model of the class that is tested; None if it takes none."""
        return settings_type(self.component_class(hook))
