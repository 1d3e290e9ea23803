"""A folder of one's own, with a config file in it and nothing else around."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from dovetail.config import RawConfig, read_config

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Read = Callable[..., RawConfig]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder; no config is above it, and the user's home is empty."""
    home = tmp_path / "home"
    project = tmp_path / "project"
    home.mkdir()
    project.mkdir()
    monkeypatch.chdir(project)
    for name in ("DOVETAIL_CONFIG_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    return project


@pytest.fixture
def read(folder: Path) -> Read:
    """Writes `dovetail.toml` and reads it, with an environment that holds only what is given."""

    def read_text(
        text: str,
        env: Mapping[str, str] | None = None,
        flags: Mapping[str | tuple[str, ...], object] | None = None,
    ) -> RawConfig:
        (folder / "dovetail.toml").write_text(text, encoding="utf-8")
        home = {"HOME": str(folder.parent / "home")}
        return read_config(env={**home, **(env or {})}, overrides=flags or {})

    return read_text
