"""`-p dovetail.testing.pytest_plugin` keeps a test run to itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = """
[project]
name = "mine"
[project.entry-points."dovetail.v1"]
mine = "mine_plugin"
[project.entry-points.console_scripts]
other = "mine:main"
"""

PLUGIN = """
from dovetail.testing.fake import FakeModel, hookimpl
@hookimpl
def providers():
    return [FakeModel]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a plugin, in an environment where two others are installed."""
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    site = tmp_path / "site"
    for name in ("mine", "strange", "wanted"):
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[dovetail.v1]\n{name} = {name}_plugin\n")
        (site / f"{name}_plugin.py").write_text(PLUGIN)
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text("[providers.strange]\n")
    return tmp_path


def run(project: Path, tests: str, *options: str, code: int = 0) -> str:
    (project / "test_mine.py").write_text(tests)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "dovetail.testing.pytest_plugin",
            "-p",
            "no:cacheprovider",
            f"--rootdir={project}",
            *options,
            "test_mine.py",
        ],
        cwd=project,
        env={
            **os.environ,
            "PYTHONPATH": str(project / "site"),
            "DOVETAIL_CONFIG_HOME": str(project / "home"),
            "DOVETAIL__CHAT__MODEL": "strange/model",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


SEES = """
import pytest
from dovetail import Kernel, StartError

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_it_sees(tmp_path, anyio_backend):
    file = tmp_path / "dovetail.toml"
    file.write_text("[providers.mine]\\n")
    async with Kernel.open(file) as kernel:
        assert sorted(kernel.plugins) == {seen!r}
        assert list(kernel.generation.providers) == ["mine"]
        assert kernel.generation.chat.model == ""
"""


def test_only_the_projects_own_plugin_is_seen_and_no_config_of_the_machine(
    project: Path,
) -> None:
    output = run(project, SEES.replace("{seen!r}", repr(["in-memory", "mine"])))
    assert "installed plugins that tests see: mine" in output


def test_more_can_be_named_by_option_or_in_the_ini_file(project: Path) -> None:
    three = SEES.replace("{seen!r}", repr(["in-memory", "mine", "wanted"]))
    run(project, three, "--dovetail-plugin", "wanted")
    run(project, three, "-o", "dovetail_plugins=wanted")


def test_a_project_without_a_valid_file_is_told_so(project: Path) -> None:
    (project / "pyproject.toml").write_text("[project\n")
    output = run(project, "", "-c", os.devnull, code=4)
    assert "pyproject.toml cannot be read" in output


def test_a_folder_without_a_project_sees_no_plugin(project: Path) -> None:
    (project / "pyproject.toml").unlink()
    output = run(project, "def test_nothing(): pass\n")
    assert "installed plugins that tests see: none" in output


FACTORY = """
import asyncio, pytest
from dovetail.testing import fake_plugin

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

async def test_it_opens_kernels(kernel_factory):
    kernel = await kernel_factory({"providers": {"fake": {}}}, plugins={"fake": fake_plugin()})
    assert (await kernel.chat("hello")).text == "hello"

async def test_it_notices_a_task_that_is_left(kernel_factory):
    await kernel_factory()
    globals()["left"] = asyncio.create_task(asyncio.sleep(3600), name="forgotten")
"""


def test_the_kernel_factory_closes_kernels_and_notices_what_is_left(project: Path) -> None:
    output = run(project, FACTORY, code=1)
    assert "2 passed, 1 error" in output
    assert "the test left the task 'forgotten'" in output
