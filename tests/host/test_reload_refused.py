"""A reload that cannot be done changes nothing; what only a restart can change is told."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import ConfigError, KernelClosed, MemorySessionStore, StartError
from tests.host.lives import Lively, noting
from tests.support.plugins import Echo, kernel_with, plugin

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_bad_config_is_refused_whole_with_all_its_mistakes(tmp_path: Path) -> None:
    events: list[str] = []
    file = tmp_path / "dovetail.toml"
    file.write_text("[providers.p]\n")
    async with kernel_with(file, p=plugin(providers=[noting(events)])) as kernel:
        before = kernel.generation
        file.write_text("[providers.p]\nmark = 'new'\n[providers.q]\nuse='p'\nmork = 1\n[chta]\n")
        with pytest.raises(ConfigError) as caught:
            await kernel.reload()
        assert len(caught.value.problems) == 2
        assert "dovetail.toml:5 [providers.q] mork" in str(caught.value)
        assert kernel.generation is before
        assert events == ["start p"]
        file.write_text("[providers.p\n")
        with pytest.raises(ConfigError):
            await kernel.reload()
        file.unlink()
        with pytest.raises(ConfigError):
            await kernel.reload()
        assert (await kernel.chat("hello")).text == "hello"
        assert kernel.generation is before


class Failing(Echo):
    async def start(self) -> None:
        message = "no room"
        raise OSError(message)


async def test_a_new_component_that_fails_undoes_what_was_started() -> None:
    events: list[str] = []
    config: dict[str, Any] = {"providers": {"p": {"mark": "old"}}}
    kernel = kernel_with(
        config, p=plugin(providers=[noting(events)]), bad=plugin(providers=[Failing])
    )
    async with kernel:
        before = kernel.generation
        config["providers"]["p"]["mark"] = "new"
        config["providers"]["bad"] = {}
        with pytest.raises(StartError, match="no room"):
            await kernel.reload()
        assert events == ["start p", "start p", "stop p"]
        assert kernel.generation is before
        assert (await kernel.chat("hello")).text == "hello"
        config["providers"]["bad"]["optional"] = True
        await kernel.reload()
        assert "no room" in str(kernel.quarantined[0])
    assert events.count("start p") == events.count("stop p") == 3


async def test_a_reload_that_is_cancelled_undoes_what_was_started() -> None:
    events: list[str] = []
    waiting = asyncio.Event()

    class Waiting(Echo):
        async def start(self) -> None:
            waiting.set()
            await asyncio.Event().wait()

    config: dict[str, Any] = {"providers": {"p": {}}}
    kernel = kernel_with(
        config, p=plugin(providers=[noting(events)]), slow=plugin(providers=[Waiting])
    )
    async with kernel:
        config["providers"] = {"p": {"mark": "new"}, "slow": {}}
        reloading = asyncio.create_task(kernel.reload())
        await waiting.wait()
        reloading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reloading
        assert events == ["start p", "start p", "stop p"]
        config["providers"] = {"p": {}}
        assert (await kernel.reload()).started == ()


async def test_a_reload_that_is_cancelled_while_a_plugin_loads_can_be_done_again() -> None:
    loop = asyncio.get_running_loop()
    asked, gate = asyncio.Event(), threading.Event()

    def providers() -> list[type]:
        loop.call_soon_threadsafe(asked.set)
        gate.wait()
        return [Echo]

    config: dict[str, Any] = {"providers": {"p": {}}}
    kernel = kernel_with(config, p=plugin(providers=[Echo]), slow=plugin(providers=providers))
    async with kernel:
        config["providers"] = {"slow": {}}
        reloading = asyncio.create_task(kernel.reload())
        await asked.wait()
        reloading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reloading
        gate.set()
        assert (await kernel.reload()).started == ("[providers.slow]",)


async def test_a_kernel_that_is_closed_meanwhile_leaves_nothing_behind() -> None:
    events: list[str] = []
    waiting, gate = asyncio.Event(), asyncio.Event()

    class Waiting(Lively):
        async def start(self) -> None:
            waiting.set()
            await gate.wait()
            await super().start()

    Waiting.events = events
    before = asyncio.all_tasks()
    config: dict[str, Any] = {"providers": {"p": {}}}
    kernel = kernel_with(
        config, p=plugin(providers=[noting(events)]), slow=plugin(providers=[Waiting])
    )
    async with kernel:
        config["providers"]["slow"] = {}
        reloading = asyncio.create_task(kernel.reload())
        await waiting.wait()
    gate.set()
    with pytest.raises(KernelClosed, match="closed"):
        await reloading
    assert events == ["start p", "stop p", "start slow", "stop slow"]
    assert asyncio.all_tasks() == before


async def test_the_session_store_and_its_options_change_at_a_restart_only() -> None:
    config: dict[str, Any] = {"providers": {"echo": {}}, "sessions": {"use": "in-memory"}}

    class Other(MemorySessionStore): ...

    made = plugin(providers=[Echo], session_stores=[Other])
    async with kernel_with(config, echo=made) as kernel:
        await kernel.chat("hello", session="s-1")
        config["sessions"]["max_waiting"] = 3
        for _ in range(2):
            assert (await kernel.reload()).needs_restart == ("[sessions]",)
        config["sessions"] = {"use": "echo"}
        report = await kernel.reload()
        assert report.needs_restart == ("[sessions]",)
        assert "[sessions]" in report.kept
        config["sessions"] = {}
        assert (await kernel.reload()).needs_restart == ()
        await kernel.chat("hello again", session="s-1")
        session = await kernel.sessions.get_session("s-1")
        assert session is not None
        assert len(session.history) == 4


async def test_an_exclusive_component_is_kept_and_named_until_a_restart() -> None:
    events: list[str] = []
    made = type("Single", (noting(events),), {"exclusive": True})
    config: dict[str, Any] = {"providers": {"p": {"mark": "old"}, "q": {"use": "p"}}}
    async with kernel_with(config, p=plugin(providers=[made])) as kernel:
        before = kernel.generation.providers["p"]
        config["providers"]["p"]["mark"] = "new"
        for _ in range(2):
            report = await kernel.reload()
            assert report.needs_restart == ("[providers.p]",)
            assert report.started == report.stopped == ()
            assert kernel.generation.providers["p"] is before
        del config["providers"]["p"]
        assert (await kernel.reload()).stopped == ("[providers.p]",)


async def test_what_an_exclusive_component_needs_is_kept_with_it() -> None:
    events: list[str] = []
    made = type("Single", (noting(events),), {"exclusive": True})
    config: dict[str, Any] = {
        "providers": {
            "deep": {"use": "q"},
            "ground": {"use": "q", "needs": ["deep"]},
            "p": {"needs": ["ground"]},
        }
    }
    kernel = kernel_with(config, p=plugin(providers=[made]), q=plugin(providers=[noting(events)]))
    async with kernel:
        before = kernel.generation.providers
        config["providers"]["deep"]["mark"] = "new"
        report = await kernel.reload()
        assert report.needs_restart == ("[providers.deep]", "[providers.ground]", "[providers.p]")
        assert report.started == report.stopped == ()
        assert kernel.generation.providers == before
        config["providers"] = {"p": {"mark": "needs nothing now"}}
        report = await kernel.reload()
        assert report.stopped == ()
        assert set(kernel.generation.providers) == {"deep", "ground", "p"}
    assert events[3:] == ["stop p", "stop ground", "stop deep"]
