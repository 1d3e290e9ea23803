"""What an operator may write, and what is refused."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from dovetail import Suggestion
from dovetail_ollama import Ollama, OllamaSettings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("http://127.0.0.1:11434/", "http://127.0.0.1:11434"),
        ("127.0.0.1:11434", "http://127.0.0.1:11434"),
        ("gpu-box", "http://gpu-box:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("https://ollama.com", "https://ollama.com"),
        ("https://proxy.example/ollama/", "https://proxy.example/ollama"),
        ("http://127.0.0.1:11434/api", "http://127.0.0.1:11434"),
    ],
)
def test_a_base_url_may_be_written_as_in_ollama_host(written: str, meant: str) -> None:
    assert OllamaSettings(base_url=written).base_url == meant


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"base_url": "http://127.0.0.1:11434/v1"}, "should not end with /v1"),
        ({"base_url": "http://me:hunter22@127.0.0.1"}, "should hold no password"),
        ({"base_url": "ftp://127.0.0.1"}, "should be an address such as"),
        ({"base_url": ""}, "should be an address such as"),
        ({"keep_alive": "forever"}, "should be a duration"),
        ({"options": {"num_ctx": 1}}, "setting of its own"),
        ({"think": "very much"}, "think"),
        ({"num_ctx": 1}, "greater than or equal to 64"),
    ],
)
def test_a_mistake_is_explained_without_its_value(settings: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why) as caught:
        OllamaSettings.model_validate(settings)
    assert "hunter22" not in str(caught.value)


def test_it_is_suggested_where_the_program_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Ollama.suggestion() is None
    program = tmp_path / "ollama"
    program.touch(mode=0o755)
    assert shutil.which("ollama") == str(program)
    suggestion = Ollama.suggestion()
    assert isinstance(suggestion, Suggestion)
    assert (suggestion.values, suggestion.rank, suggestion.model) == ({}, 30, "")
