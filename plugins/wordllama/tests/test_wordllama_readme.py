"""The README says what is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

from dovetail import Kernel
from dovetail_wordllama import WordLlamaSettings

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


async def test_its_example_embeds(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    file = tmp_path / "dovetail.toml"
    file.write_text(example, encoding="utf-8")
    async with Kernel.open(file, env={}) as kernel:
        answer = await kernel.embed(["Hello", "world"])
        assert [len(vector) for vector in answer.embeddings] == [256, 256]
        assert [model.id for model in await kernel.models()] == ["wordllama/l2_supercat"]


def test_its_table_lists_every_setting_with_its_default() -> None:
    listed = {key.strip("`"): json.loads(value.strip("`")) for key, value, _ in table("Settings")}
    assert listed == json.loads(WordLlamaSettings().model_dump_json())
    assert list(listed) == list(WordLlamaSettings.model_fields)
