"""The examples of the pages run as they stand there.

A fence marked `run` is a script beside a `dovetail.toml`; one marked `config` is checked; the
others are at least Python or TOML.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.support.distributions import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PAGES = sorted((ROOT / "docs").glob("*.md"))
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(kind, mark.strip(), code, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, (kind, mark, code) in enumerate(FENCE.findall(page.read_text(encoding="utf-8")))
]
CONFIG = """
[chat]
model = "llamacpp/smollm2"

[providers.llamacpp]
context = 256
threads = 1
"""


def runs(mark: str) -> list[object]:
    """The blocks that are marked so."""
    return [block for block in BLOCKS if block.values[1] == mark]


@pytest.mark.parametrize(("kind", "mark", "code"), runs("run"))
def test_a_script_runs(kind: str, mark: str, code: str, tmp_path: Path) -> None:
    (tmp_path / "dovetail.toml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "script.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "core")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize(("kind", "mark", "code"), runs("config"))
def test_a_config_is_right(kind: str, mark: str, code: str, tmp_path: Path) -> None:
    (tmp_path / "dovetail.toml").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "dovetail", "config", "check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("kind", "mark", "code"), [b for b in BLOCKS if b.values[0] in ("python", "toml")]
)
def test_a_block_is_what_its_fence_says(kind: str, mark: str, code: str) -> None:
    if kind == "toml":
        assert tomllib.loads(code) is not None
    else:
        assert compile(code, "block", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_plugins_that_host_plugins_work_together(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    code = {mark.strip(): text for kind, mark, text in FENCE.findall(page) if kind == "python"}
    for name, file in (("menu", "dovetail_menu"), ("soup", "dovetail_soup"), ("menu-host", "host")):
        (tmp_path / f"{file}.py").write_text(code[name], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "host.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "core")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, 'soup ["monday\'s soup"]\n'), done.stderr


def test_the_plugin_of_the_page_for_authors_keeps_the_contract(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    code = {mark.strip(): text for kind, mark, text in FENCE.findall(page) if kind == "python"}
    (tmp_path / "dovetail_echo.py").write_text(code["plugin"], encoding="utf-8")
    (tmp_path / "test_echo.py").write_text(code["test"], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "dovetail.testing.pytest_plugin"],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'core'}{os.pathsep}{tmp_path}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
