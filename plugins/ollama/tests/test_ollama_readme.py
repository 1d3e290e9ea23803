"""The README says what is so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from dovetail import Kernel
from dovetail_ollama import OllamaSettings
from dovetail_ollama.cli import ollama
from plugins.ollama.tests.samples import serve

if TYPE_CHECKING:
    from dovetail.testing import Upstream

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
OWN = {"num_ctx", "keep_alive", "think", "api_key"}
"""Settings whose default the README says in words; it is None."""


def table(heading: str) -> list[list[str]]:
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


async def test_its_example_answers_and_embeds(upstream: Upstream, tmp_path: Path) -> None:
    serve(upstream)
    (example,) = re.findall(r"^```toml\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    file = tmp_path / "dovetail.toml"
    file.write_text(example, encoding="utf-8")
    host = upstream.url.removeprefix("http://")
    async with Kernel.open(file, env={"OLLAMA_HOST": host}) as kernel:
        assert (await kernel.chat("Hello")).text.startswith("You said: Hello")
        assert len((await kernel.embed("Hello")).embeddings) == 1
    sent = upstream.requests[0].json
    assert sent["options"] == {"num_ctx": 8192, "top_k": 20}
    assert sent["keep_alive"] == 1800


def test_its_table_lists_every_setting_with_its_default() -> None:
    listed = {key.strip("`"): default.strip("`") for key, default, _ in table("Settings")}
    assert list(listed) == list(OllamaSettings.model_fields)
    defaults = json.loads(OllamaSettings().model_dump_json())
    assert {key for key, value in defaults.items() if value is None} == OWN
    said = {key: json.loads(text) for key, text in listed.items() if key not in OWN}
    http = OllamaSettings().http.model_dump(mode="json")
    assert {**said, "http": http} == {k: v for k, v in defaults.items() if k not in OWN}
    assert said["http"] == {}


def test_its_table_lists_every_command() -> None:
    listed = [row[0].strip("`").split()[2] for row in table("Commands")]
    assert sorted(listed) == sorted(ollama.commands)
