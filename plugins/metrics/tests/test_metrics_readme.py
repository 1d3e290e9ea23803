"""The README says what is so."""

import ast
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import dovetail_metrics
from dovetail import (
    EventSettings,
    FinishReason,
    Kernel,
    ModelNotFound,
    StreamingChunk,
    Usage,
)
from dovetail.testing import FakeModel, fake_plugin
from dovetail_metrics import FAMILIES, MetricsProvider, MetricsSettings
from plugins.metrics.tests.pages import Page, provider_of

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def rows(heading: str) -> list[list[str]]:
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in lines]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def kernel(model: FakeModel, **settings: Any) -> Kernel:
    """One with the example's config, and a fake in place of its model."""
    config = tomllib.loads(examples("toml")[0])
    config["providers"]["metrics"].update(settings)
    config["providers"]["llamacpp"] = {"known": ["smollm2"]}
    config["chat"] = {"model": "llamacpp/smollm2"}
    kernel = Kernel.open(config, env={}).register("llamacpp", fake_plugin(model))
    return kernel.register("metrics", dovetail_metrics)


def answer(prompt: int, completion: int, cached: int) -> list[StreamingChunk]:
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached)
    last = StreamingChunk(finish_reason=FinishReason.STOP, usage=usage, model="smollm2")
    return [StreamingChunk(text="A joint."), last]


async def test_its_example_gives_its_sample() -> None:
    sample = Page.of(examples("text")[0])
    model = FakeModel(answer(38, 93, 0), answer(133, 72, 117))
    async with kernel(model, port=0) as running:
        for question in ("What is a dovetail joint?", "And a mortise?"):
            async with running.stream(question, session="work") as stream:
                assert [chunk async for chunk in stream]
        with pytest.raises(ModelNotFound):
            await running.chat("hello", model="llamacpp/none")
        page = Page.of(provider_of(running).page()[0])
    assert sample.samples.keys() <= page.samples.keys()
    same = {key for key in sample.samples if not key[0].endswith("_seconds_sum")}
    assert {key: page.samples[key] for key in same} == pytest.approx(
        {key: sample.samples[key] for key in same}
    )


async def test_its_route_serves_the_page() -> None:
    route: dict[str, Any] = {}
    exec(examples("python")[0], route)
    async with kernel(FakeModel(), port=None) as running:
        await running.chat("hello")
        body, content_type = await route["metrics"](running, "application/openmetrics-text")
    assert Page.of(body.removesuffix(b"# EOF\n"))("dovetail_turn_duration_seconds_count") == 1
    assert content_type


async def test_it_works_without_a_kernel() -> None:
    code = compile(examples("python")[1], "README", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    await eval(code, {})


def test_its_table_lists_every_setting_with_its_default() -> None:
    listed = {name: row[1].strip("`") for row in rows("Settings") for name in names(row[0])}
    assert list(listed) == list(MetricsSettings.model_fields)
    plain = json.loads(MetricsSettings().model_dump_json())
    own = [name for name in listed if name not in EventSettings.model_fields]
    said = {name: None if listed[name] == "none" else json.loads(listed[name]) for name in own}
    assert said == {name: plain[name] for name in own}


def test_its_table_lists_every_metric_with_its_kind_and_labels() -> None:
    listed = {}
    for name, kind, labels in rows("Metrics"):
        without_values = re.sub(r"\([^)]*\)", "", labels)
        listed[names(name)[0]] = (kind, tuple(names(without_values)))
    assert listed == {family.name: (family.kind, family.labels) for family in FAMILIES}


def test_its_queries_name_metrics_that_exist() -> None:
    asked = set(re.findall(r"\b(?:gen_ai|dovetail)_\w+(?=[\[{])", examples("text")[1]))
    made = {
        family.name + ending
        for family in FAMILIES
        for ending in ("_total", "_count", "_bucket", "_sum")
    }
    assert len(asked) == 3
    assert asked <= made


def test_its_table_lists_everything_in_the_view() -> None:
    _, *listed_rows = rows("In a host application")  # the first is the table's head
    listed = [name for row in listed_rows for name in names(row[0])]
    assert sorted(listed) == sorted(MetricsProvider().metrics)
