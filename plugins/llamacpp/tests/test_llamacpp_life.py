"""A model is loaded when it is needed, once, without noise, and freed at the end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from dovetail import EmbeddingRequest, InvalidRequest, ProviderUnavailable
from dovetail_llamacpp import engine
from dovetail_llamacpp.jobs import Job
from dovetail_llamacpp.native import open_server

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail import ExecutionContext
    from dovetail_llamacpp import LlamaCpp
    from dovetail_llamacpp.gguf import Header
    from dovetail_llamacpp.options import Options
    from plugins.llamacpp.tests.conftest import Open, Requests


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the models that are loaded, in order; they are loaded for real."""
    names: list[str] = []

    def counted(options: Options, header: Header, key: str) -> object:
        names.append(options.name)
        return open_server(options, header, key)

    monkeypatch.setattr(engine, "open_server", counted)
    return names


async def test_nothing_is_loaded_before_the_first_request(
    provider: LlamaCpp, context: ExecutionContext, ask: Requests, loads: list[str]
) -> None:
    await provider.models()
    await provider.context_window("")
    assert loads == []
    await provider.send_message(ask.short("Hello"), context)
    assert loads == ["smollm2"]


async def test_a_thousand_first_requests_load_the_model_once(
    provider: LlamaCpp, ask: Requests, loads: list[str]
) -> None:
    request = ask.short("Hello")
    counts = await asyncio.gather(*(provider.count_tokens(request) for _ in range(1000)))
    assert len(set(counts)) == 1
    assert loads == ["smollm2"]


async def test_a_load_whose_first_caller_is_cancelled_goes_on_for_the_others(
    provider: LlamaCpp, context: ExecutionContext, ask: Requests, loads: list[str]
) -> None:
    first = asyncio.create_task(provider.send_message(ask.short("Hello"), context))
    second = asyncio.create_task(provider.send_message(ask.short("Hello"), context))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await second).text
    assert loads == ["smollm2"]


async def test_the_loop_goes_on_while_a_model_loads_and_answers(
    provider: LlamaCpp, context: ExecutionContext, ask: Requests
) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticker = asyncio.create_task(tick())
    answer = await provider.send_message(ask.short("Count to fifty.", max_tokens=64), context)
    ticker.cancel()
    assert answer.usage is not None
    assert answer.usage.completion_tokens
    assert ticks > answer.usage.completion_tokens


async def test_it_is_silent(
    opened: Open, context: ExecutionContext, ask: Requests, capfd: pytest.CaptureFixture[str]
) -> None:
    provider = await opened(context=256)
    await provider.send_message(ask.short("Hello"), context)
    await provider.embed(EmbeddingRequest(input=("Hello",)), context)
    with pytest.raises(InvalidRequest):
        await provider.send_message(ask.short("word " * 600), context)
    await provider.stop()
    assert capfd.readouterr() == ("", "")


async def test_stopping_ends_its_threads_and_refuses_what_comes_later(
    opened: Open, context: ExecutionContext, ask: Requests
) -> None:
    before = set(threading.enumerate())
    provider = await opened()
    await provider.send_message(ask.short("Hello"), context)
    own = set(threading.enumerate()) - before
    assert own
    await provider.stop()
    for thread in own:
        thread.join(5)
    assert not [thread for thread in own if thread.is_alive()]
    with pytest.raises(ProviderUnavailable, match="stopped"):
        await provider.send_message(ask.short("Hello"), context)


async def test_stopping_while_a_model_loads_waits_for_the_load(
    opened: Open, context: ExecutionContext, ask: Requests
) -> None:
    provider = await opened()
    asking = asyncio.create_task(provider.send_message(ask.short("Hello"), context))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await provider.stop()
        with pytest.raises(ProviderUnavailable, match="closed"):
            await asking


async def test_the_model_unused_for_longest_is_freed_when_there_are_too_many(
    opened: Open, context: ExecutionContext, ask: Requests, loads: list[str], smollm2: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    paths = {name: tmp_path / f"{name}.gguf" for name in ("one", "two", "three")}
    for path in paths.values():
        path.hardlink_to(smollm2)
    provider = await opened(models=paths, keep=2, context=256, slots=1)
    for name in ("one", "two", "one", "three", "one", "two"):
        await provider.send_message(ask.short("Hello", model=name, max_tokens=1), context)
    assert loads == ["one", "two", "three", "two"]


async def test_a_model_that_answers_is_never_freed_for_another(
    opened: Open, context: ExecutionContext, ask: Requests
) -> None:
    provider = await opened(keep=1, context=512)
    async with aclosing(provider.send_message_stream(ask.endless(), context)) as stream:
        await anext(stream)
        await provider.embed(EmbeddingRequest(input=("Hello",)), context)
        assert [chunk.finish_reason async for chunk in stream if chunk.finish_reason] == ["length"]


async def test_a_failure_on_the_way_from_llama_cpp_is_raised(
    provider: LlamaCpp, context: ExecutionContext, ask: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Job[None], item: object) -> bool:
        raise KeyError("broken")

    monkeypatch.setattr(Job, "put", broken)
    with pytest.raises(KeyError, match="broken"):
        await provider.send_message(ask.short("Hello"), context)


def test_importing_the_plugin_does_not_import_llama_cpp() -> None:
    code = "import sys, dovetail_llamacpp; sys.exit('xllamacpp' in sys.modules)"
    path = [entry for entry in sys.path if entry]
    script = f"import sys; sys.path[:] = {path!r}; {code}"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
