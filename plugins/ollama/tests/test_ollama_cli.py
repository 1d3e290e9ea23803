"""`dovetail ollama`, as a person and as a script have it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import structlog
from click.testing import CliRunner

import dovetail_ollama.cli
from dovetail.testing import json_reply, ollama_ndjson, ollama_tags, refused_url, stall_after
from plugins.ollama.tests.samples import (
    LOADED,
    PULLED,
    RUNNING,
    SHOWN,
    TAGS,
    UNLOADED,
    checked,
    not_found,
)
from tests.cli.terminal import CTRL_C, Terminal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from dovetail.testing import Upstream

PULL = ollama_ndjson(*PULLED, finish=None)


class Run(Protocol):
    """Runs the command in a process of its own, beside the server."""

    async def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, without a config above it or at home."""
    for name in [n for n in os.environ if n.startswith(("DOVETAIL", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def configured(folder: Path, upstream: Upstream) -> Path:
    """The config names the scripted server."""
    file = folder / "dovetail.toml"
    file.write_text(f'[providers.ollama]\nbase_url = "{upstream.url}"\n')
    return file


@pytest.fixture
def run() -> Run:
    async def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "dovetail", "ollama", *arguments],
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    return command


@pytest.fixture
async def terminal(tidy: None) -> AsyncIterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        opened.append(Terminal(["-m", "dovetail", "ollama", *arguments], os.environ))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


async def inside(*arguments: str) -> Any:
    """The command in this process, on a thread of its own."""
    try:
        return await asyncio.to_thread(
            CliRunner().invoke, dovetail_ollama.cli.ollama, arguments, catch_exceptions=False
        )
    finally:
        structlog.reset_defaults()


async def test_list_shows_the_models_on_disk(
    run: Run, configured: Path, upstream: Upstream
) -> None:
    upstream.reply("/api/tags", json_reply(200, TAGS))
    done = await run("list")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "NAME           SIZE    PARAMETERS  QUANTIZATION  MODIFIED\n"
        "codellama:13b  7.4 GB  13B         Q4_0          2023-11-04\n"
        "llama3:latest  3.8 GB  7B                        2023-12-07\n"
    )
    listed = json.loads((await run("list", "--json")).stdout)
    assert [model["name"] for model in listed] == ["codellama:13b", "llama3:latest"]
    assert listed[0]["size"] == 7365960935


async def test_list_of_nothing_says_how_to_get_something(
    run: Run, configured: Path, upstream: Upstream
) -> None:
    upstream.reply("/api/tags", ollama_tags())
    done = await run("list")
    assert (done.returncode, done.stdout) == (0, "")
    assert "dovetail ollama pull" in done.stderr


async def test_pull_writes_plain_lines_where_nobody_watches(
    run: Run, configured: Path, upstream: Upstream
) -> None:
    upstream.reply("/api/pull", PULL)
    done = await run("pull", "llama3.2")
    assert (done.returncode, done.stdout) == (0, "llama3.2 is ready\n")
    assert done.stderr.splitlines() == [
        "pulling manifest",
        "pulling dde5aa3fc5ff: 0 % of 2.1 GB",
        "pulling dde5aa3fc5ff: 50 % of 2.1 GB",
        "pulling dde5aa3fc5ff: 100 % of 2.1 GB",
        "pulling 966de95ca8a6: 100 % of 1.4 kB",
        "verifying sha256 digest",
        "writing manifest",
        "removing any unused layers",
        "success",
    ]


async def test_pull_draws_a_bar_on_a_terminal(
    terminal: Callable[..., Terminal], configured: Path, upstream: Upstream
) -> None:
    upstream.reply("/api/pull", PULL)
    screen = terminal("pull", "llama3.2")
    await asyncio.to_thread(screen.expect, "\rpulling dde5aa3fc5ff  [")
    await asyncio.to_thread(screen.expect, "[########################] 100 %  2.1 GB")
    await asyncio.to_thread(screen.expect, "success")
    await asyncio.to_thread(screen.expect, "llama3.2 is ready\n")
    assert await asyncio.to_thread(screen.end) == 0


async def test_ctrl_c_stops_a_pull_and_says_that_it_can_go_on(
    terminal: Callable[..., Terminal], configured: Path, upstream: Upstream
) -> None:
    upstream.reply("/api/pull", stall_after(PULL, 4))
    screen = terminal("pull", "llama3.2")
    await asyncio.to_thread(screen.expect, "dde5aa3fc5ff  [")
    screen.type(CTRL_C)
    async with asyncio.timeout(5):
        await upstream.requests[0].disconnected.wait()
    await asyncio.to_thread(screen.expect, "stopped; the same command goes on from here\n")
    await asyncio.to_thread(screen.expect, "dovetail: interrupted\n")
    assert await asyncio.to_thread(screen.end) == 1
    assert "Traceback" not in screen.seen


async def test_pull_of_what_there_is_not(run: Run, configured: Path, upstream: Upstream) -> None:
    error = {"error": "pull model manifest: file does not exist"}
    upstream.reply("/api/pull", ollama_ndjson(PULLED[0], error, finish=None))
    done = await run("pull", "lama3")
    assert (done.returncode, done.stdout) == (1, "")
    assert "dovetail: there is no model `lama3` to fetch" in done.stderr
    assert "https://ollama.com/library" in done.stderr


async def test_show_tells_what_a_model_is(run: Run, configured: Path, upstream: Upstream) -> None:
    upstream.reply("/api/show", checked(lambda _: json_reply(200, SHOWN)))
    done = await run("show", "llama3.2")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "family        llama",
        "parameters    8.0B",
        "quantization  Q4_0",
        "trained on    8,192 tokens",
        "asked for     4,096 tokens (num_ctx)",
        "can do        completion, vision",
        "set to        num_keep 24",
        'set to        stop "<|eot_id|>"',
    ]
    told = json.loads((await run("show", "llama3.2", "--json")).stdout)
    assert (told["num_ctx"], told["model_info"]["llama.context_length"]) == (4096, 8192)
    done = await run("show", "lama")
    assert done.returncode == 1
    assert "`dovetail ollama pull lama`" in done.stderr


async def test_rm_removes_models_until_one_is_not_there(
    run: Run, configured: Path, upstream: Upstream
) -> None:
    upstream.reply("/api/delete", json_reply(200, {}), json_reply(200, {}), not_found("c"))
    done = await run("rm", "a", "b", "c")
    assert (done.returncode, done.stdout) == (1, "a is removed\nb is removed\n")
    assert "there is no model `c`" in done.stderr
    assert [r.json["model"] for r in upstream.requests] == ["a", "b", "c"]


async def test_ps_shows_what_is_in_memory(run: Run, configured: Path, upstream: Upstream) -> None:
    running = {**RUNNING["models"][0], "context_length": 4096}
    brief = {"name": "b", "size": 1000, "size_vram": 250, "expires_at": "2001-01-01T00:00:00Z"}
    upstream.reply("/api/ps", json_reply(200, {"models": [running, brief, {"name": "c"}]}))
    lines = (await run("ps")).stdout.splitlines()
    assert lines[0].split() == ["NAME", "SIZE", "ON", "GPU", "CONTEXT", "FOR"]
    assert lines[1].split()[:6] == ["mistral:latest", "5.1", "GB", "100", "%", "4,096"]
    assert lines[2].split() == ["b", "1.0", "kB", "25", "%", "0", "min"]
    assert json.loads((await run("ps", "--json")).stdout)[0]["context_length"] == 4096
    for_ever = {**running, "expires_at": "2318-06-04T14:38:31.83753-07:00"}
    upstream.reply("/api/ps", json_reply(200, {"models": [for_ever]}))
    assert (await inside("ps")).output.splitlines()[1].endswith("4,096    ever")
    upstream.reply("/api/ps", json_reply(200, {"models": []}))
    assert "no model is in" in (await inside("ps")).output


async def test_load_and_unload(run: Run, configured: Path, upstream: Upstream) -> None:
    upstream.reply("/api/show", json_reply(200, SHOWN))
    upstream.reply("/api/chat", json_reply(200, LOADED), json_reply(200, UNLOADED))
    done = await run("load", "llama3.2", "--keep-alive", "-1")
    assert (done.returncode, done.stdout) == (0, "llama3.2 is loaded\n")
    assert upstream.requests[-1].json["keep_alive"] == -1
    done = await run("unload", "llama3.2")
    assert (done.returncode, done.stdout) == (0, "llama3.2 is unloaded\n")
    assert upstream.requests[-1].json["keep_alive"] == 0
    done = await run("load", "llama3.2", "--keep-alive", "for ever")
    assert done.returncode == 2
    assert "should be a number of seconds" in done.stderr


async def test_a_server_that_is_down_is_one_line(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOVETAIL__PROVIDERS__OLLAMA__BASE_URL", refused_url())
    for command in (["list"], ["pull", "m"], ["rm", "m"], ["ps"], ["show", "m"], ["load", "m"]):
        done = await run(*command)
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert "is Ollama running? Start it with `ollama serve`" in line


async def test_without_a_config_it_is_the_default_server(
    folder: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.reply("/api/tags", ollama_tags("llama3.2"))
    here = {"providers": {"ollama": {"base_url": upstream.url}}}
    assert dovetail_ollama.cli.DEFAULT == {"providers": {"ollama": {}}}
    monkeypatch.setattr(dovetail_ollama.cli, "DEFAULT", here)
    assert "llama3.2" in (await inside("list")).output
    (folder / "dovetail.toml").write_text("[chat]\n")  # one that names no server of the kind
    assert "llama3.2" in (await inside("list")).output


async def test_a_config_that_is_named_must_be_there(run: Run, folder: Path) -> None:
    done = await run("list", "-c", "nowhere.toml")
    assert done.returncode == 1
    assert "nowhere.toml" in done.stderr


async def test_an_instance_is_chosen_by_name(folder: Path, upstream: Upstream) -> None:
    upstream.reply("/api/tags", ollama_tags("llama3.2"))
    down = f'use = "ollama"\nbase_url = "{refused_url()}"\n'
    up = f'use = "ollama"\nbase_url = "{upstream.url}"\n'
    file = folder / "two.toml"
    file.write_text(f"[providers.cpu]\n{down}[providers.gpu]\n{up}")
    done = await inside("list", "-c", str(file), "-i", "gpu")
    assert (done.exit_code, "llama3.2" in done.output) == (0, True)
    done = await inside("list", "-c", str(file))
    assert done.exit_code == 2
    assert "say which server with -i: `cpu`, `gpu`" in done.output
    done = await inside("list", "-c", str(file), "-i", "tpu")
    assert done.exit_code == 2
    assert "no [providers.tpu] uses ollama; those that do: `cpu`, `gpu`" in done.output
    file.write_text(f"[providers.cpu]\n{down}[providers.ollama]\n{up}")
    assert "llama3.2" in (await inside("list", "-c", str(file))).output


async def test_the_help_lists_the_command_and_what_it_can_do(run: Run, folder: Path) -> None:
    done = await run("--help")
    for name in ("list", "load", "ps", "pull", "rm", "show", "unload"):
        assert f"\n  {name} " in done.stdout
    whole = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "dovetail", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "from dovetail-ollama" in whole.stdout
