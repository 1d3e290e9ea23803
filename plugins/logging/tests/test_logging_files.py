"""Where lines go: files, what happens to files, and what cannot be written."""

import errno
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dovetail import Kernel, ProviderError, StartError
from dovetail.testing import FakeModel
from dovetail_logging import Logging, LoggingSettings, sinks

Open = Callable[..., Kernel]
Lines = Callable[[], list[dict[str, Any]]]


def move(path: Path, to: Path) -> None:
    path.rename(to)


class Pipe:
    """A named pipe, and the one who reads it or does not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self.reader = -1
        self.listen()

    def listen(self) -> None:
        self.reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    def heard(self) -> str:
        pieces = []
        try:
            while piece := os.read(self.reader, 1_000_000):
                pieces.append(piece)
        except BlockingIOError:
            pass
        return b"".join(pieces).decode()

    def leave(self) -> None:
        if self.reader >= 0:
            os.close(self.reader)
        self.reader = -1


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    made = Pipe(tmp_path / "pipe")
    yield made
    made.leave()


async def test_two_instances_write_two_files(
    open_kernel: Open, log: Path, lines: Lines, model: FakeModel, tmp_path: Path
) -> None:
    failures = tmp_path / "failures.log"
    model.will_say("Fine.", ProviderError("broken"))
    tables = ({"file": str(log)}, {"file": str(failures), "level": "error", "format": "plain"})
    async with open_kernel(*tables) as kernel:
        await kernel.chat("Hello")
        with pytest.raises(ProviderError):
            await kernel.chat("Hello")
    assert [line["outcome"] for line in lines()] == ["ok", "error"]
    (failure,) = failures.read_text().splitlines()
    assert "[error] chat outcome=error" in failure


async def test_two_kernels_share_a_file(open_kernel: Open, log: Path, lines: Lines) -> None:
    with log.open("w") as earlier:
        earlier.write('{"event": "earlier"}\n')
    async with open_kernel({"file": str(log)}) as one, open_kernel({"file": str(log)}) as other:
        for kernel in (one, other, one):
            await kernel.chat("Hello")
    assert [line["event"] for line in lines()] == ["earlier", "chat", "chat", "chat"]


async def test_a_file_is_opened_anew_after_it_was_moved(
    open_kernel: Open, log: Path, lines: Lines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "FOLLOW_SECONDS", 0.0)
    moved = tmp_path / "chat.log.1"
    async with open_kernel({"file": str(log)}) as kernel:
        await kernel.chat("before", user="before")
        move(log, moved)
        await kernel.chat("after", user="after")
        assert [line["user_id"] for line in lines()] == ["after"]
        move(log, tmp_path / "chat.log.2")
        await kernel.chat("at last", user="at last")
        assert [line["user_id"] for line in lines()] == ["at last"]
    assert json.loads(moved.read_text())["user_id"] == "before"


async def test_a_file_whose_folder_is_gone_goes_on_where_it_is(
    open_kernel: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "FOLLOW_SECONDS", 0.0)
    folder, moved = tmp_path / "logs", tmp_path / "old"
    folder.mkdir()
    async with open_kernel({"file": str(folder / "chat.log")}) as kernel:
        folder.rename(moved)
        await kernel.chat("Hello")
    assert len((moved / "chat.log").read_text().splitlines()) == 1


@pytest.mark.parametrize("name", ["missing/chat.log", ""])
async def test_a_file_that_cannot_be_opened_stops_the_start(
    open_kernel: Open, tmp_path: Path, name: str
) -> None:
    path = str(tmp_path / name)
    with pytest.raises(StartError) as caught:
        await open_kernel({"file": path}).start()
    assert f"the log file `{path}` cannot be opened" in str(caught.value)
    assert os.strerror(errno.EISDIR if not name else errno.ENOENT) in str(caught.value)


@pytest.mark.parametrize("stderr", [None, "closed"])
async def test_a_chat_goes_on_without_stderr(
    open_kernel: Open,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stderr: str | None,
) -> None:
    stream = io.StringIO() if stderr else None
    if stream:
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    async with open_kernel({}) as kernel:
        assert (await kernel.chat("Hello")).text == "Hello"
    assert capsys.readouterr().out == ""  # where the kernel would tell of a failed callback


async def test_lines_that_could_not_be_written_are_counted(open_kernel: Open, pipe: Pipe) -> None:
    async with open_kernel({"file": str(pipe.path)}) as kernel:
        pipe.leave()
        for _ in range(3):
            assert (await kernel.chat("Hello")).text == "Hello"
        pipe.listen()
        for _ in range(2):
            await kernel.chat("Hello")
        again, after = map(json.loads, pipe.heard().splitlines())
    assert again["lines_lost"] == 3
    assert "lines_lost" not in after


async def test_a_line_that_was_written_in_part_does_not_spoil_the_next(
    open_kernel: Open, pipe: Pipe
) -> None:
    table = {"file": str(pipe.path), "content": True, "content_chars": 1_000_000}
    async with open_kernel(table) as kernel:
        for _ in range(20):  # more than a pipe holds, read by nobody
            await kernel.chat("word " * 2_000)
        *_, torn = pipe.heard().splitlines()
        with pytest.raises(json.JSONDecodeError):
            json.loads(torn)
        await kernel.chat("Hello")
        _, line = pipe.heard().split("\n", 1)
    assert json.loads(line)["prompt"] == "Hello"


def test_init_is_told_to_log_to_a_file() -> None:
    suggestion = Logging.suggestion()
    settings = LoggingSettings.model_validate(dict(suggestion.values))
    assert settings.file == Path("dovetail.log")
    assert suggestion.comment
