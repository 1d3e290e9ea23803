"""The README says what is so."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import dovetail_resilience
from dovetail import Kernel, ProviderUnavailable, RateLimited, Settings
from dovetail.testing import FakeModel, fake_plugin
from dovetail_resilience import BreakerSettings, LimitSettings, ResilienceSettings
from dovetail_resilience.trail import QUIET
from plugins.resilience.tests.virtual_time import loop

HERE = Path(__file__).parents[1]
README = (HERE / "README.md").read_text(encoding="utf-8")


def example(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return str(found)


def table(heading: str) -> list[list[str]]:
    section = README.split(f"{heading}\n", 1)[1].split("\n#")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def kernel(cloud: FakeModel, spare: FakeModel) -> Kernel:
    """A kernel with the example's config."""
    config = {
        **tomllib.loads(example("toml")),
        "chat": {"model": "cloud/large"},
        "providers": {"cloud": {}, "spare": {}, "local": {}},
    }
    kernel = Kernel.open(config, env={}).register("resilience", dovetail_resilience)
    for name, model in (("cloud", cloud), ("spare", spare), ("local", FakeModel())):
        kernel.register(name, fake_plugin(model))
    return kernel


async def test_its_example_gives_its_sample_of_metadata() -> None:
    sample = json.loads(example("json"))
    retry, fallback = sample["decisions"]
    cloud, spare = FakeModel(), FakeModel()
    async with kernel(cloud, spare) as running:
        loop().jump(on=True)
        cloud.will_say(
            ProviderUnavailable(retry["message"], status=retry["status"]),
            RateLimited(fallback["message"], status=fallback["status"], retry_after=80_000.0),
        )
        response = await running.chat("Hello")
    noted = response.metadata["resilience"]
    wait = noted["decisions"][0]["wait_s"]
    assert 0 <= wait <= 0.5
    sample["waited_s"] = sample["decisions"][0]["wait_s"] = wait
    assert noted == sample
    assert json.dumps(noted, indent=2).splitlines()[:2] == example("json").splitlines()[:2]


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("## Settings", ResilienceSettings),
        ("### `breaker`", BreakerSettings),
        ("### `limits`", LimitSettings),
    ],
)
def test_its_tables_list_every_setting_with_its_default(
    heading: str, model: type[Settings]
) -> None:
    listed = {row[0].strip("`"): row[1] for row in table(heading)}
    assert list(listed) == list(model.model_fields)
    plain = json.loads(model().model_dump_json())
    for key, default in listed.items():
        if default.startswith("`"):
            assert json.loads(default.strip("`")) == plain[key]
        else:
            assert plain[key] is None or isinstance(plain[key], dict)


def test_its_table_lists_every_event_with_its_level() -> None:
    listed = {
        row[0].strip("`").removeprefix("resilience."): row[1] for row in table("## What it says")
    }
    sources = [path.read_text(encoding="utf-8") for path in (HERE / "src").rglob("*.py")]
    noted = re.findall(r"\.(?:note|failed)\(\s*\"(\w+)\"", "\n".join(sources))
    assert set(listed) == {*noted, "waited_for_limit"}
    assert {event for event, level in listed.items() if level == "info"} == QUIET


def test_every_reason_has_words() -> None:
    from dovetail_resilience.trail import WORDS

    (row,) = [row for row in table("## What it says") if "gave_up" in row[0]]
    named: Any = re.findall(r"`(\w+)`", row[2].split("`reason` is")[1])
    assert set(named) == set(WORDS)


def test_what_init_writes_is_what_is_said() -> None:
    suggestion = dovetail_resilience.Resilience.suggestion()
    assert suggestion.rank == 20
    assert ResilienceSettings.model_validate(dict(suggestion.values)) == ResilienceSettings()
