"""A pytest plugin for plugin authors: `-p dovetail.testing.pytest_plugin`.

What else happens to be installed on a machine, and what its user has configured, must not change a
plugin's tests. So a test run sees only the installed plugins of the project it belongs to (the
entry points in the `pyproject.toml` of pytest's root folder) and those that are named: in the ini
option `dovetail_plugins`, or by `--dovetail-plugin ID`. The user's config file and `DOVETAIL__…`
variables are hidden, also from processes that tests start.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from dovetail.host.discovery import restrict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path
    from types import ModuleType

    from dovetail.kernel import Kernel

_GROUP = re.compile(r"dovetail\.v\d+")
_HOME = "DOVETAIL_CONFIG_HOME"
_TASKS_ALONE = 1_000_000
"""Files and threads are not the factory's to judge: other fixtures open them too."""
_hidden = pytest.StashKey["_Hidden"]()


class _Hidden:
    """What was there before, to be put back."""

    def __init__(self, plugin_ids: frozenset[str]) -> None:
        self.plugin_ids = plugin_ids
        self.before = restrict(plugin_ids)
        names = [name for name in os.environ if name.startswith("DOVETAIL__") or name == _HOME]
        self.variables = {name: os.environ.pop(name) for name in names}
        self.home = tempfile.mkdtemp(prefix="dovetail-no-config-")
        os.environ[_HOME] = self.home

    def undo(self) -> None:
        restrict(self.before)
        os.environ.pop(_HOME, None)
        os.environ.update(self.variables)
        shutil.rmtree(self.home, ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Two ways to name more plugins that tests may see."""
    group = parser.getgroup("dovetail")
    group.addoption(
        "--dovetail-plugin",
        action="append",
        default=[],
        metavar="ID",
        dest="dovetail_plugins",
        help="An installed dovetail plugin that tests may see; may be given again.",
    )
    parser.addini(
        "dovetail_plugins",
        type="args",
        default=[],
        help="Ids of installed dovetail plugins that tests may see, beside the project's own.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Hide everything else."""
    named = [*config.getini("dovetail_plugins"), *config.getoption("dovetail_plugins")]
    own = project_plugins(config.rootpath / "pyproject.toml")
    config.stash[_hidden] = _Hidden(frozenset(named) | own)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Put back what was hidden."""
    hidden = config.stash.get(_hidden, None)
    if hidden is not None:
        hidden.undo()


def pytest_report_header(config: pytest.Config) -> str:
    """Say what can be seen."""
    seen = ", ".join(sorted(config.stash[_hidden].plugin_ids)) or "none"
    return f"dovetail: installed plugins that tests see: {seen} (more by --dovetail-plugin ID)"


@pytest.fixture
async def kernel_factory() -> AsyncIterator[Callable[..., Awaitable[Kernel]]]:
    """What opens kernels, for async tests.

    `await kernel_factory(config, plugins={"fake": fake_plugin()})` gives one that is open.
    `config` is as for `Kernel.open`, by default an empty mapping; more options are passed on, and
    the environment it sees is empty. The kernels are closed after the test, which fails if one of
    their components does not stop, or if a task is left.
    """
    from dovetail.kernel import Kernel
    from dovetail.testing.leaks import Census

    census = Census.take()
    opened: list[Kernel] = []

    async def open_kernel(
        config: str | Path | Mapping[str, object] | None = None,
        *,
        plugins: Mapping[str, ModuleType] | None = None,
        **options: Any,
    ) -> Kernel:
        kernel = Kernel.open({} if config is None else config, **{"env": {}, **options})
        for plugin_id, plugin in (plugins or {}).items():
            kernel.register(plugin_id, plugin)
        await kernel.start()
        opened.append(kernel)
        return kernel

    yield open_kernel
    failures = [failure for kernel in reversed(opened) for failure in await kernel.close()]
    left = await census.settled(times=_TASKS_ALONE)
    assert not failures, "; ".join(str(failure) for failure in failures)
    assert not left, f"the test left {'; '.join(left)}"


def project_plugins(pyproject: Path) -> frozenset[str]:
    """The ids of the plugins whose entry points a project declares; empty if there is no such file.

    Raises:
        pytest.UsageError: the file is not valid.
    """
    if not pyproject.is_file():
        return frozenset()
    try:
        content = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    except ValueError as error:
        raise pytest.UsageError(f"{pyproject} cannot be read: {error}") from error
    groups = content.get("project", {}).get("entry-points", {})
    return frozenset(
        name for group, names in groups.items() if _GROUP.fullmatch(group) for name in names
    )
