"""The README says what is so of ingestion, retrieval and the commands."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dovetail import Kernel
from dovetail_vectorstore import IngestionSettings, RetrievalSettings
from dovetail_vectorstore.cli import knowledge
from dovetail_vectorstore.sources import SourcesSettings

if TYPE_CHECKING:
    from dovetail import Settings

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


async def test_its_example_opens(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    file = tmp_path / "dovetail.toml"
    text = example.replace("[plugins.vectorstore]\n", '[plugins.vectorstore]\nbackend = "memory"\n')
    file.write_text(text, encoding="utf-8")
    async with Kernel.open(file, env={}) as kernel:
        assert {row[0].strip("`") for row in table("Services")} <= set(kernel.services.names())


@pytest.mark.parametrize(
    ("heading", "settings"),
    [
        ("Settings of `[plugins.vectorstore.ingestion]`", IngestionSettings),
        ("Settings of `[plugins.vectorstore.retrieval]`", RetrievalSettings),
        ("Settings of the middleware `vectorstore:sources`", SourcesSettings),
    ],
)
def test_its_tables_list_every_setting_with_its_default(
    heading: str, settings: type[Settings]
) -> None:
    listed = {key.strip("`"): default.strip("`") for key, default, _ in table(heading)}
    defaults = json.loads(settings().model_dump_json())
    said = {key: None if text == "none" else json.loads(text) for key, text in listed.items()}
    assert said == defaults


def test_its_table_lists_every_command() -> None:
    listed = [row[0].strip("`").split()[2] for row in table("Commands")]
    assert sorted(listed) == sorted(knowledge.commands)
