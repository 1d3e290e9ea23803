"""What the README shows works as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

from tests.support.distributions import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.distributions import Distributions

README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, heading: str) -> str:
    """The code under a heading."""
    section = README.partition(f"\n## {heading}\n")[2]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found is not None, heading
    return found[1]


def test_the_plugin_the_host_and_the_config_work_together(
    installed: Distributions, tmp_path: Path
) -> None:
    installed.add("shout", block("python", "A plugin"))
    config = block("toml", "A config") + '\n[[middleware]]\nuse = "shout"\n'
    # The model may talk until its context is full: in a small one that takes seconds.
    small = config.replace("context = 2048", "context = 256")
    assert small != config
    (tmp_path / "dovetail.toml").write_text(small, encoding="utf-8")
    (tmp_path / "host.py").write_text(block("python", "A host application"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "host.py"],
        env=installed.environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "completion_tokens=" in done.stdout
    letters = [c for c in done.stdout.split("Usage(")[0].split("prompt_tokens")[0] if c.isalpha()]
    assert letters
    assert all(letter == letter.upper() for letter in letters)
    assert len((tmp_path / "dovetail.log").read_text(encoding="utf-8").splitlines()) == 2


def test_the_plugin_keeps_the_contract_and_is_told_what_to_set(
    installed: Distributions, tmp_path: Path
) -> None:
    installed.add("shout", block("python", "A plugin"))
    lines = [
        "import pytest, dovetail_shout",
        "from dovetail.testing import MiddlewareContract, Subject",
        "class TestShout(MiddlewareContract):",
        "    @pytest.fixture",
        "    def subject(self): return Subject(dovetail_shout)",
    ]
    test = tmp_path / "test_shout.py"

    def outcome() -> subprocess.CompletedProcess[str]:
        test.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, str(test)],
            env=installed.environment(),
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    refused = outcome()
    assert refused.returncode == 1
    assert "set `changes_answers = True` in the contract's subclass" in refused.stdout
    lines.append("    changes_answers = True")
    kept = outcome()
    assert kept.returncode == 0, kept.stdout


def test_they_are_as_short_as_a_first_page_should_be() -> None:
    """Blank lines count."""
    assert len(block("python", "A plugin").splitlines()) <= 15
    assert len(block("python", "A host application").splitlines()) <= 10
    assert len(block("toml", "A config").splitlines()) <= 10


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = re.findall(r"^make (\w+)", block("sh", "Try it"), re.MULTILINE)
    assert commands == ["demo", "test"]
    assert all(re.search(rf"^{target}: setup", makefile, re.MULTILINE) for target in commands)


def test_the_check_runs_the_very_test_command() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = makefile.partition("\ncheck: ")[2].partition("\n\n")[0]
    assert "$(MAKE) --no-print-directory test" in recipe
    assert "make check" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_page_it_points_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_config_is_toml() -> None:
    assert tomllib.loads(block("toml", "A config"))["chat"]["model"] == "llamacpp/smollm2"
