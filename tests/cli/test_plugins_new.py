"""`dovetail plugins new`: a project that is ready."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Command
    from tests.support.distributions import Distributions

RUFF = Path(sys.executable).with_name("ruff")
MYPY = Path(sys.executable).with_name("mypy")


def run(site: Distributions, folder: Path, *command: str | Path) -> str:
    """What a command prints that succeeds in `folder`."""
    done = subprocess.run(
        command, cwd=folder, env=site.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["hello", "two-words"])
def test_the_tests_of_a_new_project_pass(
    dovetail: Command, installed: Distributions, folder: Path, name: str
) -> None:
    done = dovetail("plugins", "new", name)
    assert done.code == 0
    project = folder / f"dovetail-{name}"
    assert "passed" in run(installed, project, sys.executable, "-m", "pytest", "-q")
    run(installed, project, RUFF, "check")
    run(installed, project, RUFF, "format", "--check")


def test_a_new_project_is_strictly_typed(
    dovetail: Command, installed: Distributions, folder: Path
) -> None:
    dovetail("plugins", "new", "hello", "--dir", "here")
    assert (folder / "here/src/dovetail_hello/py.typed").exists()
    run(installed, folder / "here", MYPY, "src", "tests")


def test_an_underscore_in_the_name_becomes_a_hyphen(
    dovetail: Command, installed: Distributions, folder: Path
) -> None:
    assert "plugin `my-plug`" in dovetail("plugins", "new", "my_plug").out
    assert (folder / "dovetail-my-plug/src/dovetail_my_plug/__init__.py").exists()
    assert 'my-plug = "dovetail_my_plug"' in (folder / "dovetail-my-plug/pyproject.toml").read_text(
        encoding="utf-8"
    )


def test_a_new_plugin_can_be_installed_and_talked_to(
    dovetail: Command, installed: Distributions, folder: Path
) -> None:
    dovetail("plugins", "new", "hello")
    project = folder / "dovetail-hello"
    wheel = ("-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    run(installed, project, sys.executable, *wheel)
    (built,) = folder.glob("dovetail_hello-*.whl")
    run(installed, folder, sys.executable, "-m", "zipfile", "-e", built, installed.folder)
    config = '[chat]\nmodel = "hello"\n[providers.hello]\nprefix = "> "\n'
    (folder / "dovetail.toml").write_text(config)
    assert dovetail("chat", "Good morning").out == "> Good morning\n"
    assert '[project.entry-points."dovetail.v1"]' in (project / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Hello", "`hello` would do"),
        ("my plugin", "`my-plugin` would do"),
        ("dovetail-x", "`x` would do"),
        ("1st", "cannot be a plugin's id"),
        ("é", "cannot be a plugin's id"),
        ("a" * 51, "cannot be a plugin's id"),
        ("../up", "`up` would do"),
        ("class", "a word of Python's own"),
        ("match", "a word of Python's own"),
    ],
)
def test_a_bad_name_is_refused_with_one_that_would_do(
    dovetail: Command, folder: Path, name: str, why: str
) -> None:
    done = dovetail("plugins", "new", name)
    assert done.code == 2
    assert why in done.err
    assert not list(folder.iterdir())


def test_a_taken_id_or_folder_is_refused(
    dovetail: Command, parrot: Distributions, folder: Path
) -> None:
    taken = dovetail("plugins", "new", "parrot")
    assert taken.code == 1
    assert "the id `parrot` is taken by `dovetail-parrot`" in taken.err
    (folder / "dovetail-owl").mkdir()
    (folder / "dovetail-owl/keep").write_text("mine")
    there = dovetail("plugins", "new", "owl")
    assert there.code == 1
    assert "dovetail-owl is there already and not empty; name another place" in there.err
    assert [file.name for file in (folder / "dovetail-owl").iterdir()] == ["keep"]
