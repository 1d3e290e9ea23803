"""`dovetail` with the plugin, as a person and as a script have it."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, without a config above it or at home."""
    for name in [n for n in os.environ if n.startswith(("DOVETAIL", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dovetail(*arguments: str, piped: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dovetail", *arguments],
        input=piped,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_embed_writes_a_vector_for_each_text_and_line(folder: Path) -> None:
    (folder / "dovetail.toml").write_text(
        '[chat]\nembedding_model = "wordllama"\n[providers.wordllama]\ndimensions = 64\n'
    )
    done = dovetail("embed", "a text", piped="a line\nanother\n")
    assert (done.returncode, done.stderr) == (0, "")
    vectors = [json.loads(line) for line in done.stdout.splitlines()]
    assert [len(vector) for vector in vectors] == [64, 64, 64]
    assert all(math.isclose(math.hypot(*vector), 1, abs_tol=1e-5) for vector in vectors)
    told = json.loads(dovetail("embed", "a text", "--json").stdout)
    assert (told["provider"], told["model"]) == ("wordllama", "l2_supercat")
    assert told["usage"]["prompt_tokens"] == 2


def test_an_unknown_model_names_the_one_there_is(folder: Path) -> None:
    (folder / "dovetail.toml").write_text("[providers.wordllama]\n")
    done = dovetail("embed", "a text", "-m", "wordllama/l3_supercat")
    assert done.returncode == 1
    assert "there is no model `l3_supercat`" in done.stderr
    assert "wordllama/l2_supercat" in done.stderr


def test_dimensions_that_do_not_exist_are_told_before_the_start(folder: Path) -> None:
    (folder / "dovetail.toml").write_text("[providers.wordllama]\ndimensions = 100\n")
    done = dovetail("config", "check")
    assert done.returncode != 0
    assert "dimensions" in done.stdout + done.stderr
    assert "64, 128 or 256" in done.stdout + done.stderr


def test_init_chooses_it_for_embeddings(folder: Path) -> None:
    assert dovetail("init").returncode == 0
    written = tomllib.loads((folder / "dovetail.toml").read_text(encoding="utf-8"))
    assert written["chat"]["embedding_model"] == "wordllama/l2_supercat"
    assert written["providers"]["wordllama"] == {}
    listed = dovetail("models", "--json").stdout
    assert "wordllama/l2_supercat" in listed
