"""A reload swaps what changed; running turns finish on what they began with."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from dovetail import Middleware, StreamingChunk
from tests.host.lives import Lively, noting
from tests.support.plugins import Echo, kernel_with, plugin
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dovetail import ChatRequest, ExecutionContext
    from tests.support.distributions import Distributions


async def test_what_did_not_change_is_kept_and_what_changed_is_started_anew() -> None:
    events: list[str] = []
    config: dict[str, Any] = {
        "providers": {"same": {"use": "p"}, "new": {"use": "p"}, "old": {"use": "p"}}
    }
    async with kernel_with(config, p=plugin(providers=[noting(events)])) as kernel:
        before = kernel.generation.providers
        config["providers"]["new"]["mark"] = "changed"
        config["providers"]["fresh"] = {"use": "p"}
        del config["providers"]["old"]
        report = await kernel.reload()
        after = kernel.generation.providers
        assert after["same"] is before["same"]
        assert after["new"] is not before["new"]
        assert set(after) == {"same", "new", "fresh"}
        assert set(report.started) == {"[providers.new]", "[providers.fresh]"}
        assert set(report.stopped) == {"[providers.new]", "[providers.old]"}
        assert set(report.kept) == {"[providers.same]", "[sessions]"}
        assert report.needs_restart == ()
        await eventually(lambda: {"stop new", "stop old"} <= set(events))
        assert "stop same" not in events
    assert sorted(e for e in events if e.startswith("start")) == sorted(
        ["start same", "start new", "start old", "start new", "start fresh"]
    )
    assert sum(e.startswith("stop") for e in events) == 5


class Gated(Lively):
    """Answers with its mark, once it is let."""

    asked: asyncio.Event
    gate: asyncio.Event

    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncIterator[StreamingChunk]:
        self.asked.set()
        await self.gate.wait()
        yield StreamingChunk(text=f"from the {self.settings.mark} one")

    async def stop(self) -> None:
        self.events.append(f"stop {self.instance} {self.settings.mark}".strip())


async def test_a_running_turn_finishes_on_the_old_instance_which_stops_then() -> None:
    events: list[str] = []
    asked, gate = asyncio.Event(), asyncio.Event()
    made = type("Held", (Gated,), {"events": events, "asked": asked, "gate": gate})
    config: dict[str, Any] = {"providers": {"p": {"mark": "old"}}}
    async with kernel_with(config, p=plugin(providers=[made])) as kernel:
        turn = asyncio.create_task(kernel.chat("hello"))
        await asked.wait()
        config["providers"]["p"]["mark"] = "new"
        await kernel.reload()
        config["providers"]["p"]["mark"] = "newest"
        await kernel.reload()
        await eventually(lambda: "stop p new" in events)
        assert events == ["start p", "start p", "start p", "stop p new"]
        gate.set()
        assert (await turn).text == "from the old one"
        await eventually(lambda: "stop p old" in events)
        assert (await kernel.chat("hello")).text == "from the newest one"
    assert events[3:] == ["stop p new", "stop p old", "stop p newest"]


async def test_what_was_kept_lives_as_long_as_any_turn_or_config_needs_it() -> None:
    events: list[str] = []
    asked, gate = asyncio.Event(), asyncio.Event()
    made = type("Held", (Gated,), {"events": events, "asked": asked, "gate": gate})
    config: dict[str, Any] = {"providers": {"p": {}, "other": {"use": "p"}}}
    async with kernel_with(config, p=plugin(providers=[made])) as kernel:
        turn = asyncio.create_task(kernel.chat("hello", model="p"))
        await asked.wait()
        config["providers"]["other"]["mark"] = "changed"
        await kernel.reload()
        del config["providers"]["p"]
        await kernel.reload()
        assert "p" not in kernel.generation.providers
        gate.set()
        await turn
        await eventually(lambda: "stop p" in events)
        assert events.count("stop p") == 1


async def test_what_needs_a_changed_provider_is_started_anew_too() -> None:
    events: list[str] = []
    config: dict[str, Any] = {
        "providers": {
            "ground": {"use": "p"},
            "walls": {"use": "p", "needs": ["ground"]},
            "roof": {"use": "p", "needs": ["walls"]},
            "shed": {"use": "p"},
        }
    }
    async with kernel_with(config, p=plugin(providers=[noting(events)])) as kernel:
        config["providers"]["ground"]["mark"] = "deeper"
        report = await kernel.reload()
        assert report.started == ("[providers.ground]", "[providers.walls]", "[providers.roof]")
        assert "[providers.shed]" in report.kept
        running = kernel.generation.providers
        roof, walls = running["roof"], running["walls"]
        assert isinstance(roof, Lively)
        assert roof.settings.needs[0].target is walls
        await eventually(lambda: len([e for e in events if e.startswith("stop")]) == 3)
        assert events[-3:] == ["stop roof", "stop walls", "stop ground"]


async def test_the_order_of_middleware_follows_the_config() -> None:
    asked: list[str] = []

    class Noting(Middleware):
        async def before_chat(self, call: object) -> None:
            asked.append(self.instance)

    class Other(Noting): ...

    config: dict[str, Any] = {
        "providers": {"echo": {}},
        "middleware": [{"use": "a"}, {"use": "b"}],
    }
    kernel = kernel_with(
        config,
        echo=plugin(providers=[Echo]),
        a=plugin(middleware=[Noting]),
        b=plugin(middleware=[Other]),
    )
    async with kernel:
        await kernel.chat("hello")
        config["middleware"].reverse()
        report = await kernel.reload()
        await kernel.chat("hello")
        assert asked == ["a", "b", "b", "a"]
        assert report.started == report.stopped == ()
        config["middleware"].pop()
        await kernel.reload()
        await kernel.chat("hello")
        assert asked[4:] == ["b"]


async def test_a_plugin_named_for_the_first_time_is_loaded_though_installed_since(
    installed: Distributions,
) -> None:
    config: dict[str, Any] = {"providers": {"p": {}}}
    from dovetail import Kernel
    from tests.support.distributions import ECHO

    kernel = Kernel.open(config, env={}).register("p", plugin(providers=[noting([])]))
    async with kernel:
        installed.add("echo", ECHO)
        config["providers"] = {"echo": {}}
        await kernel.reload()
        assert (await kernel.chat("hello")).text == "hello"
        assert kernel.plugins["echo"].state == "started"
        await eventually(lambda: kernel.plugins["p"].state == "stopped")


async def test_reloads_at_once_come_one_after_the_other() -> None:
    events: list[str] = []
    config: dict[str, Any] = {"providers": {"p": {"mark": "0"}}}
    before = asyncio.all_tasks()
    async with kernel_with(config, p=plugin(providers=[noting(events)])) as kernel:
        config["providers"]["p"]["mark"] = "1"
        one = asyncio.create_task(kernel.reload())
        two = asyncio.create_task(kernel.reload())
        first, second = await asyncio.gather(one, two)
        assert first.started == ("[providers.p]",)
        assert second.started == second.stopped == ()
        for mark in range(20):
            config["providers"]["p"]["mark"] = str(mark)
            await kernel.reload()
        running = kernel.generation.providers["p"]
        assert isinstance(running, Lively)
        assert running.settings.mark == "19"
    assert events.count("start p") == events.count("stop p")
    assert asyncio.all_tasks() == before


async def test_what_was_out_of_order_is_tried_anew_by_a_reload() -> None:
    class Broken(Echo):
        broken = True

        async def start(self) -> None:
            if self.broken:
                raise OSError

    config = {"providers": {"p": {"optional": True}}}
    async with kernel_with(config, p=plugin(providers=[Broken])) as kernel:
        assert kernel.quarantined
        Broken.broken = False
        await kernel.reload()
        assert kernel.quarantined == ()
        assert (await kernel.chat("hello")).text == "hello"
