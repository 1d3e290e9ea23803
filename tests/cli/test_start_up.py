"""What a command costs before it does anything."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from dovetail import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command
    from tests.support.distributions import Distributions

COMMAND = """\
import os, sys
os.chdir({folder!r})
before = set(sys.modules)
from dovetail.cli import main
sys.argv = ["dovetail", *{arguments!r}]
try:
    code = main()
finally:
    print("MODULES", *set(sys.modules) - before)
sys.exit(code)
"""


def imported(site: Distributions, *arguments: str) -> set[str]:
    """The modules that a command has imported when it ends, those Python starts with aside."""
    folder = str(site.folder.parent / "project")
    done = site.run(COMMAND.format(arguments=arguments, folder=folder))
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("MODULES")[2].split())


def test_the_version_is_told_before_click_is_imported(
    installed: Distributions, folder: Path
) -> None:
    modules = imported(installed, "--version")
    assert not modules & {"click", "typing", "signal", "importlib_metadata", "asyncio"}


@pytest.mark.parametrize(
    "arguments", [("--help",), ("plugins",), ("plugins", "list", "--json"), ("plugins", "--help")]
)
def test_looking_at_plugins_imports_none_of_them_and_nothing_heavy(
    parrot: Distributions, arguments: tuple[str, ...]
) -> None:
    parrot.add("loud", "raise SystemExit('imported')", entry_points=LOUD)
    modules = imported(parrot, *arguments)
    heavy = {"pydantic", "structlog", "asyncio", "httpx", "pluggy", "dovetail.kernel"}
    assert not modules & {*heavy, "dovetail_parrot", "dovetail_loud"}


LOUD = """\
[dovetail.v1]
loud = dovetail_loud
[dovetail.v1.commands]
shout = dovetail_loud:shout
"""


def test_python_m_dovetail_is_the_same_command(process: Command) -> None:
    assert process("--version").out == f"dovetail {__version__}\n"
    assert sys.executable not in process("--help").out
