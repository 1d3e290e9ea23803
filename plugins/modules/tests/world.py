"""What the tests of modules need around them."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, Any

import dovetail_modules
import dovetail_scripts
from dovetail import EventProvider, Kernel
from dovetail.testing import FakeModel, fake_plugin, plugin_of

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail import ChatRequest


class Listener(EventProvider):
    """Notes every event of stages and modules."""

    name = "listener"
    events = ("module_start", "module_complete", "module_chunk", "stage_start", "stage_complete")

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []

    async def handle_event(self, event: str, data: Any) -> None:
        self.heard.append((event, dict(data)))

    def of(self, name: str) -> list[dict[str, Any]]:
        """What was told by this name."""
        return [data for event, data in self.heard if event == name]


class World:
    """A folder for modules, a model to script, and kernels around them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules = folder / "modules"
        self.modules.mkdir()
        self.model = FakeModel()
        self.listener = Listener()

    def write(self, **files: str) -> None:
        """Files of the folder: `greeting_md="…"` is `greeting.md`."""
        for name, text in files.items():
            stem, _, suffix = name.rpartition("_")
            (self.modules / f"{stem}.{suffix}").write_text(dedent(text), encoding="utf-8")

    def kernel(
        self,
        template: str,
        *,
        scripts: bool = True,
        listens: bool = False,
        plugins: dict[str, object] | None = None,
        tables: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Kernel:
        """A kernel whose persona `sage` has this template; not yet open."""
        template = template.replace("$", "$$")  # the config has references of its own
        config: dict[str, Any] = {
            "chat": {"persona": "sage", "model": "fake/main"},
            "personas": {"sage": {"template": template}, "other": {"template": template}},
            "providers": {"fake": {}},
            "plugins": {
                "modules": {"folder": str(self.modules), "refresh": 0, **settings},
                **({"scripts": {}} if scripts else {}),
                **{plugin_id: {} for plugin_id in plugins or {}},
            },
        }
        for name, table in (tables or {}).items():
            known = config.get(name)
            config[name] = {**known, **table} if isinstance(known, dict) else table
        if listens:
            config["providers"]["listener"] = {}
        kernel = Kernel.open(config, env={}, discover_installed=False)
        kernel.register("modules", dovetail_modules).register("scripts", dovetail_scripts)
        kernel.register("fake", fake_plugin(self.model))
        held = type("Held", (Listener,), {"name": "listener", "__new__": lambda _: self.listener})
        kernel.register("listener", plugin_of(held))
        for plugin_id, plugin in (plugins or {}).items():
            kernel.register(plugin_id, plugin)
        return kernel

    def prompts(self) -> list[str]:
        """The first system message of each request that has one, oldest first."""
        return [_system(r) for r in self.model.requests if _system(r)]


def _system(request: ChatRequest) -> str:
    return next((m.text for m in request.messages if m.role == "system"), "")
