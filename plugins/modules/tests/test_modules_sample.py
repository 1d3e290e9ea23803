"""The sample persona: what one process learns, the next one's prompt has."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from dovetail import Kernel
from dovetail.testing import plugin_of
from plugins.modules.tests.world import Listener
from tests.support.distributions import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SAMPLE = ROOT / "docs" / "examples" / "persona"


def dovetail(folder: Path, *words: str) -> str:
    """What a command prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "dovetail", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_the_second_turn_shows_what_the_first_has_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "persona"
    shutil.copytree(SAMPLE, folder)
    dovetail(folder, "modules", "check")
    said = "My name is Ada, and I would like an oak table, please."
    assert dovetail(folder, "chat", "-s", "w", "--max-tokens", "8", said).strip()

    monkeypatch.chdir(folder)
    listener = Listener()
    held = type("Held", (Listener,), {"name": "listener", "__new__": lambda _: listener})
    config: dict[str | tuple[str, ...], object] = {"providers.listener.use": "listener"}
    kernel = Kernel.open("dovetail.toml", overrides=config, env={})
    async with kernel.register("listener", plugin_of(held)):
        session = await kernel.sessions.get_session("w")
        assert session is not None
        assert session.message_count == 2
        kept = session.state["modules"]
        learnt = kept["left"]["learnt"]["text"]
        assert learnt
        assert kept["values"] == {"mood": 1}
        await kernel.chat("Thank you!", session="w")
    prompts = {d["stage"]: d["prompt"] for d in listener.of("stage_complete")}
    assert f"What you noted about the visitor last time: {learnt}" in prompts["pre_response"]
    assert "Your mood: cheerful (2)" in prompts["template"]
    assert "The visitor wants to know about: @topic" in prompts["template"]
    assert "@topic" not in prompts["pre_response"]
    assert "short greeting" not in prompts["template"]
    failed = [d for d in listener.of("module_complete") if d["error"] is not None]
    assert not failed
