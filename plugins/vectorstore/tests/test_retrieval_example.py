"""The example in docs/examples/knowledge, with dovetail's own pages, as its comment says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"
EXAMPLE = DOCS / "examples" / "knowledge"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A `dovetail` command that may reach no network."""
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("DOVETAIL", "XDG_"))}
    offline = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    return subprocess.run(
        [sys.executable, "-m", "dovetail", *arguments],
        env={**environment, **offline, "HOME": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_a_question_is_answered_from_the_pages_and_they_are_named(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "docs").mkdir()
    for page in DOCS.glob("*.md"):
        shutil.copy(page, tmp_path / "docs")
    added = run(tmp_path, "knowledge", "add", "docs/")
    assert added.returncode == 0, added.stderr
    assert added.stdout.startswith(f"{len(list(DOCS.glob('*.md')))} added; ")
    answered = run(tmp_path, "chat", "--trace", "How do I write a plugin?")
    assert answered.returncode == 0, answered.stderr
    said, _, pages = answered.stdout.partition("\n\nSources:\n- ")
    assert "plugin" in said
    assert "docs/plugins.md, " in pages
    # What the model had before it:
    assert "A plugin is a module named by an entry point." in answered.stderr
