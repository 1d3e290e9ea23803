"""The README says what is so, and what `dovetail init` writes works."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import dovetail_openai
from dovetail import Kernel
from dovetail_openai import OpenAI, OpenAISettings

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
KEYS = {"OPENAI_API_KEY": "sk-a", "GROQ_API_KEY": "gsk-a", "AZURE_OPENAI_API_KEY": "a"}


@pytest.mark.parametrize("example", re.findall(r"```toml\n(.*?)```", README, re.DOTALL))
async def test_its_configs_open(example: str) -> None:
    kernel = Kernel.open(tomllib.loads(example), env=KEYS, discover_installed=False)
    async with kernel.register("openai", dovetail_openai):
        assert kernel.generation.chat.model.partition("/")[0] in kernel.generation.providers


def test_its_table_has_every_setting() -> None:
    section = README.split("## Settings\n")[1].split("\n## ")[0]
    named = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)))
    assert named == list(OpenAISettings.model_fields)


def test_it_is_suggested_where_its_key_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert OpenAI.suggestion() is None
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    suggestion = OpenAI.suggestion()
    assert suggestion is not None
    assert suggestion.values == {"api_key": "${OPENAI_API_KEY}"}


def test_no_secret_is_shown() -> None:
    settings = OpenAISettings.model_validate({"api_key": "sk-secret", "headers": {"X": "hidden"}})
    assert "secret" not in f"{settings!r}{settings.model_dump_json()}"
    assert "hidden" not in f"{settings!r}{settings.model_dump_json()}"
