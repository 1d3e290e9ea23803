"""How it starts, works beside the event loop, and ends."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dovetail_wordllama.provider
from dovetail import EmbeddingRequest, NotReady, ProviderUnavailable
from dovetail_wordllama import WordLlama, WordLlamaSettings
from dovetail_wordllama.weights import TOKENIZER, WEIGHTS, Pool, Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail import ExecutionContext
    from dovetail_wordllama.pieces import Piece
    from plugins.wordllama.tests.conftest import Open

ALONE = """\
import asyncio, logging, sys

NETWORK = {"socket.connect", "socket.getaddrinfo"}
asked = []
sys.addaudithook(lambda name, _: asked.append(name) if name in NETWORK else None)

from dovetail import EmbeddingRequest, ExecutionContext
from dovetail_wordllama import WordLlama, WordLlamaSettings

async def main():
    provider = WordLlama()
    provider.settings = WordLlamaSettings()
    assert provider.suggestion().model == "l2_supercat"
    assert "numpy" not in sys.modules, "numpy is imported before the start"
    await provider.start()
    await provider.embed(EmbeddingRequest(input=("text",) * 100), ExecutionContext())
    await provider.stop()

asyncio.run(main())
assert not asked, asked
assert "wordllama" not in sys.modules, "wordllama was imported"
assert not logging.getLogger().handlers, "the host's logging was set up"
"""


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of the thread that worked on each batch, in order."""
    names: list[str] = []
    original = Pool.add

    def add(self: Pool, pieces: Sequence[Piece]) -> None:
        names.append(threading.current_thread().name)
        original(self, pieces)

    monkeypatch.setattr(Pool, "add", add)
    return names


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package's files."""
    spec = find_spec("wordllama")
    assert spec is not None
    assert spec.submodule_search_locations
    for name in (TOKENIZER, WEIGHTS):
        (tmp_path / name).parent.mkdir()
        shutil.copy(Path(spec.submodule_search_locations[0]) / name, tmp_path / name)
    return tmp_path


def test_it_asks_no_network_and_leaves_the_process_as_it_is() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


async def test_a_few_short_texts_are_embedded_at_once_and_more_on_a_thread(
    opened: Open, context: ExecutionContext, added: list[str]
) -> None:
    provider = await opened(batch_size=50)
    await provider.embed(EmbeddingRequest(input=("short",) * 3), context)
    assert added == [threading.current_thread().name]
    added.clear()
    await provider.embed(EmbeddingRequest(input=("short",) * 100), context)
    await provider.embed(EmbeddingRequest(input=("long " * 1000,)), context)
    assert len(added) == 3
    assert all(name.startswith("dovetail-wordllama") for name in added)


async def test_a_cancelled_request_stops_after_its_batch(
    opened: Open, context: ExecutionContext, added: list[str]
) -> None:
    provider = await opened(batch_size=1, threads=1)
    many = EmbeddingRequest(input=("a text of some words",) * 20_000)
    task = asyncio.create_task(provider.embed(many, context))
    while not added:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    begun = len(added)
    other = await provider.embed(EmbeddingRequest(input=("long " * 1000,)), context)
    assert len(other.embeddings) == 1
    assert len(added) - begun <= 3  # one that was on its way, and the two of the other request


async def test_a_stopped_provider_says_so(opened: Open, context: ExecutionContext) -> None:
    provider = await opened()
    many = EmbeddingRequest(input=("a text of some words",) * 20_000)
    task = asyncio.create_task(provider.embed(many, context))
    await asyncio.sleep(0)
    await provider.stop()
    with pytest.raises(ProviderUnavailable, match="was stopped"):
        await task
    with pytest.raises(ProviderUnavailable, match="was stopped"):
        await provider.embed(EmbeddingRequest(input=("one",)), context)


async def test_without_the_package_it_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dovetail_wordllama.provider, "find_spec", lambda _name: None)
    provider = WordLlama()
    provider.settings = WordLlamaSettings()
    assert provider.suggestion() is None
    with pytest.raises(NotReady, match="pip install wordllama"):
        await provider.start()
    await provider.stop()


@pytest.mark.parametrize("name", [TOKENIZER, WEIGHTS])
def test_a_missing_file_is_named(package: Path, name: str) -> None:
    (package / name).unlink()
    with pytest.raises(NotReady, match=f"has no file .*{Path(name).name}.*pip install"):
        Weights(package)


@pytest.mark.parametrize("name", [TOKENIZER, WEIGHTS])
@pytest.mark.parametrize("kept", [0, 5, 10_000])
def test_a_file_that_is_cut_short_is_named(package: Path, name: str, kept: int) -> None:
    whole = (package / name).read_bytes()
    (package / name).write_bytes(whole[:kept])
    with pytest.raises(NotReady, match=f"{Path(name).name}` cannot be used .*pip install"):
        Weights(package)


def test_a_file_with_other_weights_is_refused(package: Path) -> None:
    header = b'{"embedding.weight":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]}}'
    narrow = len(header).to_bytes(8, "little") + header + bytes(32)
    (package / WEIGHTS).write_bytes(narrow)
    with pytest.raises(NotReady, match=r"a table of \(2, 4\), not of 256 columns"):
        Weights(package)
    header = b'{"embedding.weight":{"dtype":"F32","shape":[1,256],"data_offsets":[0,1024]}}'
    (package / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header + bytes(1024))
    with pytest.raises(NotReady, match="32000 tokens of the tokenizer have 1 rows of weights"):
        Weights(package)
