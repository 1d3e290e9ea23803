"""Distributions that look installed, in a folder of the test's own.

In a test, the fixture `installed` puts such a folder on `sys.path` and takes it off again::

    def test_something(installed: Distributions) -> None:
        installed.add("hello", SOURCE)  # now entry point `hello` of `dovetail.v1` is there


    # conftest.py
    from tests.support.distributions import installed

    __all__ = ["installed"]

For a process of its own, pass `installed.environment()` as its `env`, or call
`installed.run(CODE)`.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]

ECHO = """\
from dovetail import ChatProvider, StreamingChunk, hookimpl

class Echo(ChatProvider):
    async def send_message_stream(self, request, context):
        yield StreamingChunk(text=request.messages[-1].text)

@hookimpl
def providers():
    return [Echo]
"""
"""The source of a plugin that repeats what it is told."""


class Distributions:
    """Writes distributions into `folder`, which is or will be on a Python path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(
        self,
        plugin_id: str,
        source: str | None,
        *,
        name: str = "",
        version: str = "1.0",
        module: str = "",
        entry_points: str | None = None,
        group: str = "dovetail.v1",
        metadata: bool = True,
    ) -> str:
        """Install a distribution with the plugin `plugin_id`; gives the module's name.

        `source` is the module's text (indented or not; None: the module is missing). Unless given,
        the distribution is called `dovetail-PLUGIN_ID`, the module `dovetail_PLUGIN_ID`, and
        `entry_points` names the module under `plugin_id` in `group`.
        """
        name = name or f"dovetail-{plugin_id}"
        module = module or name.replace("-", "_")
        if source is not None:
            self.add_module(module, source)
        if entry_points is None:
            entry_points = f"[{group}]\n{plugin_id} = {module}\n"
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        if metadata:
            text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            (info / "METADATA").write_text(text, encoding="utf-8")
        (info / "entry_points.txt").write_text(dedent(entry_points), encoding="utf-8")
        (info / "RECORD").write_text("", encoding="utf-8")
        importlib.invalidate_caches()
        return module

    def add_module(self, name: str, source: str) -> Path:
        """Put a module beside them; gives its file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"{name}.py"
        file.write_text(dedent(source), encoding="utf-8")
        importlib.invalidate_caches()
        return file

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of a process that sees them beside the kernel of this checkout."""
        path = os.pathsep.join((str(self.folder), str(ROOT / "core")))
        return {**os.environ, "PYTHONPATH": path, **(extra or {})}

    def run(self, code: str, *, timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Run Python `code` in a process that sees them; in their folder, output as text."""
        return subprocess.run(
            [sys.executable, "-c", dedent(code)],
            env=self.environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def modules(self) -> set[str]:
        """The names of their modules that this process has imported."""
        here = str(self.folder)
        return {
            name
            for name, module in list(sys.modules.items())
            if str(getattr(module, "__file__", None) or "").startswith(here)
        }


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Distributions]:
    """Distributions that this process sees until the test ends; what it imported is forgotten."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    distributions = Distributions(folder)
    yield distributions
    for name in distributions.modules():
        del sys.modules[name]
