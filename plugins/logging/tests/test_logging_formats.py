"""How a line looks: JSON, colour or plain."""

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dovetail import FinishReason, Kernel, ProviderError, StreamingChunk
from dovetail.testing import FakeModel

Open = Callable[..., Kernel]
Lines = Callable[[], list[dict[str, Any]]]

ESCAPE = "\x1b["


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


class Terminal:
    """A pseudo-terminal; `shown` is what was written to it."""

    def __init__(self) -> None:
        self._ours, theirs = os.openpty()
        self.stream = io.TextIOWrapper(io.FileIO(theirs, "w"), encoding="utf-8")

    def shown(self) -> str:
        self.stream.flush()
        return os.read(self._ours, 100_000).decode()

    def close(self) -> None:
        self.stream.close()
        os.close(self._ours)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.delenv("NO_COLOR", raising=False)
    made = Terminal()
    yield made
    made.close()


async def test_stderr_gets_json_where_it_is_no_terminal(
    open_kernel: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_kernel({}) as kernel:
        await kernel.chat("Hello")
    written = capsys.readouterr()
    assert written.out == ""
    assert json.loads(written.err)["event"] == "chat"


async def test_a_terminal_gets_colour(
    open_kernel: Open, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    async with open_kernel({}) as kernel:
        await kernel.chat("Hello")
    shown = terminal.shown()
    assert ESCAPE in shown
    assert "outcome" in shown


async def test_a_terminal_without_colour_gets_plain_text(
    open_kernel: Open, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    monkeypatch.setenv("NO_COLOR", "1")
    async with open_kernel({}) as kernel:
        await kernel.chat("Hello")
    shown = terminal.shown()
    assert ESCAPE not in shown
    assert "[info] chat outcome=ok request_id=" in shown


async def test_a_terminal_gets_json_when_told_to(
    open_kernel: Open, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    async with open_kernel({"format": "json"}) as kernel:
        await kernel.chat("Hello")
    assert json.loads(terminal.shown())["outcome"] == "ok"


@pytest.mark.parametrize(("look", "coloured"), [("colour", True), ("plain", False)])
async def test_a_file_is_coloured_only_when_told_to(
    open_kernel: Open, log: Path, look: str, *, coloured: bool
) -> None:
    async with open_kernel({"file": str(log), "format": look}) as kernel:
        await kernel.chat("Hello")
    written = read(log)
    assert (ESCAPE in written) is coloured
    assert "provider" in written


@pytest.mark.parametrize("look", ["json", "plain", "colour"])
async def test_a_foreign_text_cannot_forge_a_line(
    open_kernel: Open, log: Path, model: FakeModel, look: str
) -> None:
    name, text = "forged\x1b[2J\x9b2J\u202e", "\n2026-01-01 [error] forged\r\u2028\x1b[2J"
    said = StreamingChunk(text="Hi.", model=name, finish_reason=FinishReason.STOP)
    model.will_say(said, ProviderError(text))
    async with open_kernel({"file": str(log), "format": look}) as kernel:
        await kernel.chat("Hello")
        with pytest.raises(ProviderError):
            await kernel.chat("Hello")
    written = read(log)
    assert written.count("forged") == 2
    assert len(written.splitlines()) == 2
    assert not any(mark in written for mark in ("\x1b[2J", "\x9b", "\u2028", "\u202e"))


async def test_any_text_is_valid_json(
    open_kernel: Open, log: Path, lines: Lines, model: FakeModel
) -> None:
    said = 'Grüße 👋 \u2028 "quoted" \\ \x00'
    model.will_say([said])
    async with open_kernel({"file": str(log), "content": True}) as kernel:
        await kernel.chat("Hello")
    assert lines()[0]["answer"] == said
