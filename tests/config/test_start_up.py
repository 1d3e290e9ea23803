"""Reading the config must not cost what only validating it needs."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.processes import unmeasured

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = (
    "pydantic",
    "structlog",
    "httpx",
    "click",
    "asyncio",
    "difflib",
    "json",
    "importlib.metadata",
)
SCRIPT = """
import sys
from dovetail.config import read_config, read_entries
config, problems = read_entries(read_config("dovetail.toml"))
assert [config.where(entry.path) for entry in config.providers] == ["dovetail.toml:1 [providers.a]"]
assert not problems
print(*(name for name in sys.argv[1:] if name in sys.modules))
"""


def test_a_command_that_only_looks_at_the_config_imports_nothing_heavy(folder: Path) -> None:
    (folder / "dovetail.toml").write_text('[providers.a]\nkey = "${X:-y}"\n')
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, *HEAVY],
        env=unmeasured(),
        check=True,
        capture_output=True,
        text=True,
    )
    assert result.stdout.split() == []
