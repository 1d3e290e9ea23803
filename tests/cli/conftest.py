"""The command in a folder of its own, with plugins that a test installs."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from dovetail.cli.run import run
from dovetail.host.discovery import BUILT_IN, restrict
from tests.cli.terminal import Terminal
from tests.support.distributions import Distributions, installed

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["installed"]

PARROT = '''
import asyncio, sys
from pydantic import Field, SecretStr
from dovetail import (
    ChatProvider, ChatRequest, ExecutionContext, FinishReason, ModelInfo, ProviderUnavailable,
    Settings, StreamingChunk, Suggestion, hookimpl,
)

def tell(text):
    print(f"[{text}]", file=sys.stderr, flush=True)

class ParrotSettings(Settings):
    """How it talks."""
    prefix: str = Field(default="", description="Put before each answer.")
    pin: SecretStr = Field(default=SecretStr(""), description="What nobody shall see.")

class Parrot(ChatProvider):
    """Repeats what it is told; does what some words ask for."""
    settings: ParrotSettings

    @classmethod
    def suggestion(cls):
        return Suggestion(values={"prefix": ""}, model="grey", rank=10, comment="a bird")

    async def models(self):
        return [ModelInfo(id="grey", context_window=4096, description="talks"), ModelInfo(id="ara")]

    async def send_message_stream(self, request, context):
        text = request.messages[-1].text
        if text == "fail":
            yield StreamingChunk(text="so far ")
            raise ProviderUnavailable(f"no nut with pin {self.settings.pin.get_secret_value()}")
        if text == "wait":
            tell("waiting")
            await asyncio.Event().wait()
        if text == "begin":
            yield StreamingChunk(text="begun ")
            await asyncio.Event().wait()
        if text == "limit":
            yield StreamingChunk(text=str(request.max_tokens))
            return
        if text == "think":
            yield StreamingChunk(reasoning="hmm")
        if text == "recall":
            told = " | ".join(f"{m.role}: {m.text.strip()}" for m in request.messages)
            yield StreamingChunk(text=told)
            return
        if text == "cut":
            yield StreamingChunk(text="half", finish_reason=FinishReason.LENGTH)
            return
        yield StreamingChunk(text=self.settings.prefix)
        for line in text.splitlines(keepends=True):
            yield StreamingChunk(text=line)

@hookimpl
def providers():
    return [Parrot]
'''
"""The source of a plugin whose provider does what a test tells it."""

CONFIG = '[chat]\nmodel = "parrot/grey"\n\n[providers.parrot]\n'


@dataclass(frozen=True, slots=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder; no config is above it, and the user's home is empty."""
    for name in ("home", "project"):
        (tmp_path / name).mkdir()
    for name in [n for n in os.environ if n.startswith(("DOVETAIL", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def parrot(installed: Distributions, folder: Path) -> Distributions:
    """The parrot is installed and named by the config; other plugins may be added."""
    installed.add("parrot", PARROT)
    (folder / "dovetail.toml").write_text(CONFIG)
    return installed


@pytest.fixture
def dovetail(
    installed: Distributions,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Command]:
    """Runs a command in this process; of what is installed it sees what the test installed."""
    monkeypatch.setenv("PYTHONPATH", installed.environment()["PYTHONPATH"])

    def command(*arguments: str, stdin: bytes = b"") -> Result:
        ids = {file.name.partition("-")[0] for file in installed.folder.glob("*.dist-info")}
        before = restrict(frozenset({*BUILT_IN, *(i.removeprefix("dovetail_") for i in ids)}))
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capsys.readouterr()
        try:
            code = run(list(arguments))
        finally:
            restrict(before)
        out, err = capsys.readouterr()
        return Result(code, out, err)

    yield command
    structlog.reset_defaults()


@pytest.fixture
def process(installed: Distributions, folder: Path) -> Command:
    """Runs a command in a process of its own."""

    def command(*arguments: str, stdin: bytes = b"") -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "dovetail", *arguments],
            env=installed.environment(),
            input=stdin,
            capture_output=True,
            timeout=50,
            check=False,
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    return command


@pytest.fixture
def terminal(installed: Distributions, folder: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts a command on a terminal of its own."""
    opened: list[Terminal] = []

    def start(*arguments: str, env: dict[str, str] | None = None) -> Terminal:
        terminal = Terminal(["-m", "dovetail", *arguments], installed.environment(env))
        opened.append(terminal)
        return terminal

    yield start
    for terminal in opened:
        terminal.close()
