"""The README, and the page on modules, say what is so."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from dovetail import Kernel
from dovetail_modules import Conditions, ModuleDefinition, ModulesSettings
from dovetail_modules.cli import modules
from dovetail_modules.execution.functions import FUNCTIONS
from tests.support.distributions import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

README = (ROOT / "plugins" / "modules" / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "modules.md").read_text(encoding="utf-8")


def table(text: str, heading: str) -> list[list[str]]:
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


async def test_its_example_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    config = example.replace("[providers.llamacpp]", "[providers.llamacpp]\ncontext = 256")
    (tmp_path / "dovetail.toml").write_text(config, encoding="utf-8")
    (tmp_path / "modules").mkdir()
    greeting = "Begin with a short greeting."
    assert greeting in README
    (tmp_path / "modules" / "greeting.md").write_text(greeting, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    async with Kernel.open("dovetail.toml", env={}) as kernel:
        resolver = kernel.services.get("module_service").resolver()
        template = kernel.generation.personas["robin"].template
        found = await resolver.resolve_template_stages_1_and_2(template)
    assert found.resolved_template == f"You are Robin. {greeting}"


def test_its_table_lists_every_setting_with_its_default() -> None:
    listed = {
        key.strip("`"): json.loads(default.strip("`"))
        for key, default, _ in table(README, "Settings")
    }
    assert listed == json.loads(ModulesSettings().model_dump_json())
    assert list(listed) == list(ModulesSettings.model_fields)


def test_its_table_lists_every_command() -> None:
    listed = [row[0].strip("`").split()[2] for row in table(README, "Commands")]
    assert listed == list(modules.commands)


def test_the_page_lists_every_key_of_a_module() -> None:
    rows = table(PAGE, "Modules in files")
    keys = [key for row in rows for key in re.findall(r"`(\w+)`", row[0])]
    assert keys == list(ModuleDefinition.model_fields)
    (when,) = (row[2] for row in rows if row[0] == "`when`")
    assert all(f"`{key}`" in when for key in Conditions.model_fields)


def test_the_page_lists_every_function() -> None:
    listed = [row[0].strip("`").split("(")[0] for row in table(PAGE, "What scripts may call")]
    assert listed == list(FUNCTIONS)
