"""The README says what is so."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dovetail_logging
from dovetail import FinishReason, Kernel, StreamingChunk, Usage
from dovetail.testing import FakeModel, fake_plugin
from dovetail_logging import LoggingSettings

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
Lines = Callable[[], list[dict[str, Any]]]


def example(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return str(found)


def table(heading: str) -> list[list[str]]:
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


async def test_its_example_gives_its_sample_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: FakeModel
) -> None:
    monkeypatch.chdir(tmp_path)
    sample = json.loads(example("json"))
    model.will_say(
        [
            StreamingChunk(text="A joint."),
            StreamingChunk(
                finish_reason=FinishReason.STOP,
                usage=Usage(
                    prompt_tokens=sample["prompt_tokens"],
                    completion_tokens=sample["completion_tokens"],
                ),
            ),
        ]
    )
    config = {
        **tomllib.loads(example("toml")),
        "providers": {sample["provider"]: {}},
        "chat": {"model": f"{sample['provider']}/{sample['model']}"},
    }
    kernel = Kernel.open(config, env={}).register(sample["provider"], fake_plugin(model))
    kernel.register("logging", dovetail_logging)
    async with kernel, kernel.stream("?", session="s-1", user="ada") as stream:
        async for _ in stream:
            pass
    line = json.loads((tmp_path / "dovetail.log").read_text())
    assert list(line) == list(sample)
    varying = {"timestamp", "request_id", "tokens_per_s", "first_chunk_s", "duration_s"}
    assert {k: v for k, v in line.items() if k not in varying} == {
        k: v for k, v in sample.items() if k not in varying
    }


def test_its_table_lists_every_setting_with_its_default() -> None:
    listed = {key.strip("`"): default.strip("`") for key, default, *_ in table("Settings")}
    fields = LoggingSettings.model_fields
    assert list(listed) == list(fields)
    said = {
        key: "stderr" if key == "file" else json.loads(d)
        for key, d in listed.items()
        if d != "stderr"
    }
    plain = json.loads(LoggingSettings().model_dump_json(exclude={"file"}))
    assert said == plain
    assert listed["file"] == "stderr"


def test_its_table_lists_every_field_of_its_sample() -> None:
    listed = {name for row in table("Fields") for name in re.findall(r"`(\w+)`", row[0])}
    assert set(json.loads(example("json"))) <= listed
