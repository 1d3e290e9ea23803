"""The README says what is so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from dovetail_scripts import ScriptSettings
from plugins.scripts.tests.conftest import Scripts, opened
from tests.support.processes import unmeasured

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PAGE = (Path(__file__).parents[3] / "docs" / "scripts.md").read_text(encoding="utf-8")


def rows(text: str, heading: str) -> list[list[str]]:
    """The rows of a section's table."""
    section = text.split(f"## {heading}\n")[1].split("\n## ", maxsplit=1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_its_table_lists_every_setting_with_its_default() -> None:
    listed = {row[0].strip("`"): row[1].strip("`") for row in rows(README, "Settings")}
    settings = ScriptSettings()
    defaults = settings.model_dump()
    assert {key: json.loads(text) for key, text in listed.items()} == defaults


def test_its_example_runs() -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-c", example],
        env=unmeasured(),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("Ada: good wood needs no glue\n")


def test_the_page_lists_the_limits_that_are_settings() -> None:
    names = {row[0].strip("`") for row in rows(PAGE, "Limits")}
    assert names == set(ScriptSettings.model_fields) - {"engine", "workers", "seed"}


async def test_the_script_of_the_page_greets() -> None:
    (script,) = re.findall(r"^```python\n(hour = .*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    async with opened() as kernel:
        result = await Scripts(kernel).run(script, inputs={"name": "Ada"})
    assert re.fullmatch(r"Good (morning|afternoon|evening), Ada\.", result.variables["greeting"])
