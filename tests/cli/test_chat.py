"""One question on the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Command
    from tests.support.distributions import Distributions

pytestmark = pytest.mark.usefixtures("parrot")


def test_the_answer_is_all_that_goes_to_stdout(dovetail: Command) -> None:
    done = dovetail("chat", "Good morning")
    assert (done.code, done.out, done.err) == (0, "Good morning\n", "")


def test_what_comes_through_a_pipe_is_the_prompt(dovetail: Command) -> None:
    assert dovetail("chat", stdin="Grüße 🦜\n".encode()).out == "Grüße 🦜\n"


def test_what_comes_through_a_pipe_is_put_below_the_prompt(dovetail: Command) -> None:
    done = dovetail("chat", "What is this?", stdin=b"a\nb\n")
    assert done.out == "What is this?\n\na\nb\n"


def test_a_pipe_that_is_not_utf8_is_refused_with_the_offset(dovetail: Command) -> None:
    done = dovetail("chat", stdin=b"caf\xe9 au lait")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("dovetail: stdin is not UTF-8: byte 0xe9 at offset 3; convert it")


def test_a_prompt_that_is_not_utf8_is_refused(process: Command) -> None:
    done = process("chat", os.fsdecode(b"caf\xe9"))
    assert (done.code, done.out) == (2, "")
    assert "the prompt is not UTF-8: a wrong byte at offset 3" in done.err


@pytest.mark.parametrize("arguments", [("chat",), ("chat", ""), ("chat", " "), ("chat", "--json")])
def test_nothing_to_ask_is_wrong_use(dovetail: Command, arguments: tuple[str, ...]) -> None:
    done = dovetail(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "prompt" in done.err
    assert len(done.err.splitlines()) == 1


def test_json_is_the_whole_response(dovetail: Command) -> None:
    response = dovetail("chat", "hi", "--json").json
    assert response["message"]["content"] == "hi"
    assert response["finish_reason"] == "stop"
    assert response["provider"] == "parrot"


def test_a_failed_turn_shows_what_came_and_says_why(dovetail: Command) -> None:
    done = dovetail("chat", "fail", "--set", "providers.parrot.pin=4711")
    assert (done.code, done.out) == (1, "so far \n")
    assert done.err == "dovetail: parrot: no nut with pin ***\n"


def test_with_json_errors_are_json_too(dovetail: Command) -> None:
    done = dovetail("chat", "fail", "--json", "--set", "providers.parrot.pin=4711")
    assert (done.code, done.out) == (1, "")
    error = json.loads(done.err)["error"]
    assert error["type"] == "ProviderUnavailable"
    assert error["message"] == "parrot: no nut with pin ***"
    assert error["details"]["provider"] == "parrot"


def test_a_traceback_comes_only_when_asked_for_and_without_secrets(dovetail: Command) -> None:
    arguments = ("chat", "fail", "--set", "providers.parrot.pin=4711")
    assert "Traceback" not in dovetail(*arguments).err
    for traced in (dovetail("--debug", *arguments).err, dovetail(*arguments, "--debug").err):
        assert "Traceback" in traced
        assert "4711" not in traced


def test_an_unknown_model_is_answered_with_the_nearest(dovetail: Command) -> None:
    done = dovetail("chat", "hi", "-m", "parot/grey")
    assert done.code == 1
    assert "did you mean `parrot/grey`?" in done.err
    assert "pip install dovetail-parot" in done.err


def test_the_system_text_goes_before_the_prompt(dovetail: Command) -> None:
    done = dovetail("chat", "recall", "--system", "Be brief.")
    assert done.out == "system: Be brief. | user: recall\n"


def test_a_session_in_memory_is_said_to_end(dovetail: Command) -> None:
    done = dovetail("chat", "hi", "-s", "mine")
    assert (done.code, done.out) == (0, "hi\n")
    assert "session `mine` ends with this command" in done.err


def test_reasoning_is_shown_only_when_asked_for_and_on_stderr(dovetail: Command) -> None:
    assert dovetail("chat", "think").err == ""
    asked = dovetail("chat", "think", "--reasoning")
    assert (asked.out, asked.err) == ("think\n", "hmm\n")


def test_an_answer_that_was_cut_is_said_to_be(dovetail: Command) -> None:
    done = dovetail("chat", "cut")
    assert (done.code, done.out) == (0, "half\n")
    assert "cut at the most tokens it may have: --max-tokens N" in done.err


def test_an_answer_gets_no_longer_than_asked_for(dovetail: Command) -> None:
    assert dovetail("chat", "limit", "--max-tokens", "7").out == "7\n"
    assert dovetail("chat", "limit").out == "None\n"
    assert dovetail("chat", "limit", "--max-tokens", "0").code == 2


def test_set_wins_over_the_file(dovetail: Command) -> None:
    assert dovetail("chat", "hi", "--set", "providers.parrot.prefix=> ").out == "> hi\n"


@pytest.mark.parametrize("setting", ["prefix", "prefix=x", "=x", "a..b=x", "[a]=x"])
def test_a_setting_that_names_no_key_of_a_table_is_wrong_use(
    dovetail: Command, setting: str
) -> None:
    done = dovetail("chat", "hi", "--set", setting)
    assert done.code == 2
    assert "table.key=value" in done.err


def test_a_config_that_is_named_but_not_there_is_an_error(dovetail: Command, folder: Path) -> None:
    done = dovetail("chat", "hi", "-c", "other.toml")
    assert done.code == 1
    assert done.err == (
        "dovetail: other.toml: there is no such config file\n"
        "    → `dovetail init other.toml` writes one\n"
    )
    assert not (folder / "other.toml").exists()


def test_all_mistakes_in_the_config_are_told_at_once(dovetail: Command, folder: Path) -> None:
    (folder / "dovetail.toml").write_text('[chat]\nmodle = "x"\n[providers.parrot]\nprefx = ""\n')
    done = dovetail("chat", "hi")
    assert done.code == 1
    assert "dovetail.toml:2 [chat] modle" in done.err
    assert "dovetail.toml:4 [providers.parrot] prefx" in done.err
    assert "did you mean `prefix`?" in done.err


def test_without_any_config_a_first_one_is_written_and_used(
    dovetail: Command, folder: Path
) -> None:
    (folder / "dovetail.toml").unlink()
    done = dovetail("chat", "hi")
    assert (done.code, done.out) == (0, "hi\n")
    assert "running `dovetail init`" in done.err
    assert "the model is parrot/grey" in done.err
    assert dovetail("chat", "again").err == ""


def test_the_log_of_the_kernel_goes_to_stderr_without_secrets(
    dovetail: Command, parrot: Distributions, folder: Path
) -> None:
    parrot.add("lame", LAME)
    with (folder / "dovetail.toml").open("a") as config:
        config.write("[providers.lame]\noptional = true\napi_key = 'hush-hush'\n")
    done = dovetail("chat", "hi")
    assert (done.code, done.out) == (0, "hi\n")
    assert done.err.startswith("dovetail: warning: an optional component is out of order")
    assert "the key *** is worn out" in done.err


LAME = """\
from dovetail import ChatProvider, Settings, StreamingChunk, hookimpl
from pydantic import SecretStr

class LameSettings(Settings):
    api_key: SecretStr

class Lame(ChatProvider):
    settings: LameSettings
    async def start(self):
        raise RuntimeError(f"the key {self.settings.api_key.get_secret_value()} is worn out")
    async def send_message_stream(self, request, context):
        yield StreamingChunk()

@hookimpl
def providers():
    return [Lame]
"""


def test_a_reader_that_goes_away_ends_it_quietly(installed: Distributions) -> None:
    prompt = "line\n" * 100_000
    command = subprocess.Popen(
        [sys.executable, "-m", "dovetail", "chat"],
        env=installed.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with command:
        assert command.stdin is not None
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdin.write(prompt.encode())
        command.stdin.close()
        assert command.stdout.readline() == b"line\n"
        command.stdout.close()
        assert command.stderr.read() == b""
    assert command.returncode == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_it_works_with_a_stream_closed(installed: Distributions, folder: Path, closed: str) -> None:
    done = subprocess.run(
        f"{sys.executable} -m dovetail chat hi {closed}",
        shell=True,
        env=installed.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == (b"" if closed == ">&-" else b"hi\n")


def test_a_full_disk_is_one_line(installed: Distributions) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "dovetail", "chat", "hi"],
            env=installed.environment(),
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == b"dovetail: [Errno 28] No space left on device\n"


def test_any_character_reaches_a_pipe_whatever_the_locale(installed: Distributions) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dovetail", "chat", "é → 🦜"],
        env=installed.environment({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == "é → 🦜\n"
