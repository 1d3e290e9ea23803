"""The page on sessions: every store remembers from one process to the next."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import pytest

from tests.support.distributions import ROOT
from tests.support.servers import postgres, redis

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = (ROOT / "docs" / "sessions.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```toml (\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
ADDRESSES = {
    "redis": "redis://127.0.0.1:6379/0",
    "postgres": "postgresql://127.0.0.1/dovetail",
}


@pytest.fixture
def address(store: str, tmp_path: Path) -> Iterator[str]:
    """Where the store's server is; a file needs none."""
    servers: dict[str, AbstractContextManager[str]] = {
        "redis": redis(tmp_path),
        "postgres": postgres(),
        "sqlite": nullcontext(""),
    }
    with servers[store] as url:
        yield url


def dovetail(folder: Path, *words: str) -> str:
    """What a command prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "dovetail", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("store", ["sqlite", "redis", "postgres"])
def test_two_lines_of_config_make_a_conversation_outlast_its_process(
    store: str, address: str, tmp_path: Path
) -> None:
    config = BLOCKS["sqlite"]
    if store != "sqlite":
        before, after = (
            b.partition("[sessions]")[2].split("\n", 3)[1:3]
            for b in (BLOCKS["sqlite"], BLOCKS[store])
        )
        for old, new in zip(before, after, strict=True):
            config = config.replace(old, new)
        assert ADDRESSES[store] in config
        config = config.replace(ADDRESSES[store], address)
    (tmp_path / "dovetail.toml").write_text(config, encoding="utf-8")
    for text in ("My name is Ada.", "What is my name?"):
        dovetail(tmp_path, "chat", "-s", "work", "--max-tokens", "4", text)
    kept = json.loads(dovetail(tmp_path, "sessions", "show", "work", "--json"))
    said = [message["content"] for message in kept["history"] if message["role"] == "user"]
    assert said == ["My name is Ada.", "What is my name?"]
    assert kept["message_count"] == 4
    [listed] = json.loads(dovetail(tmp_path, "sessions", "list", "--json"))
    assert listed["session_id"] == "work"
    dovetail(tmp_path, "sessions", "delete", "work")
    assert json.loads(dovetail(tmp_path, "sessions", "list", "--json")) == []
