"""A component that breaks while it runs is taken out of service, with what needs it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from dovetail import (
    Component,
    ContextAwareService,
    FailureStage,
    Middleware,
    ModelNotFound,
    NotReady,
    PluginError,
    PluginState,
)
from dovetail.sessions.memory import MemorySessionStore
from tests.host.lives import noting
from tests.support.plugins import Echo, kernel_with, plugin
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from dovetail import Kernel


class Line:
    """A connection that may be lost, and be back."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.back = False
        self.group: asyncio.TaskGroup

    async def open(self) -> None:
        if self.lost.is_set() and not self.back:
            message = "the server is down"
            raise NotReady(message)
        self.group = asyncio.TaskGroup()
        await self.group.__aenter__()
        self.group.create_task(self._watch())

    async def _watch(self) -> None:
        if self.back:
            return
        await self.lost.wait()
        message = "the connection is lost"
        raise OSError(message)

    async def close(self) -> None:
        if hasattr(self, "group"):
            group = self.group
            del self.group
            self.lost.set()
            await group.__aexit__(None, None, None)


def connected(base: Any, line: Line) -> Any:
    """A component that lives on `line`."""

    async def start(self: object) -> None:
        await line.open()

    async def stop(self: object) -> None:
        await line.close()

    return type("Connected", (base,), {"start": start, "stop": stop})


def config(**bad: object) -> dict[str, Any]:
    return {
        "kernel": {"retry_interval": 0.005},
        "providers": {"good": {"use": "echo"}, "bad": {"use": "p", **bad}},
    }


def kernel_on(line: Line, tables: dict[str, Any], **plugins: object) -> Kernel:
    made = plugin(providers=[connected(Echo, line)])
    return kernel_with(tables, p=made, echo=plugin(providers=[Echo]), **plugins)


async def test_a_provider_that_breaks_is_no_longer_asked_and_says_why() -> None:
    line = Line()
    with capture_logs() as logs:
        async with kernel_on(line, config()) as kernel:
            assert (await kernel.chat("hello", model="bad")).text == "hello"
            line.lost.set()
            await eventually(lambda: any("is lost" in str(f) for f in kernel.quarantined))
            (failure,) = kernel.quarantined
            assert failure.stage is FailureStage.RUN
            assert "failed at run: OSError: the connection is lost" in str(failure)
            with pytest.raises(ModelNotFound, match="`bad` is out of order"):
                await kernel.chat("hello", model="bad")
            assert (await kernel.chat("hello", model="good")).text == "hello"
            assert kernel.plugins["p"].state is PluginState.FAILED
            assert await kernel.close() == []
    assert [entry["event"] for entry in logs] == [str(failure)]


async def test_an_optional_one_is_tried_again_until_it_is_back() -> None:
    line = Line()
    async with kernel_on(line, config(optional=True)) as kernel:
        line.lost.set()
        await eventually(lambda: kernel.quarantined)
        assert "tried again" in kernel.quarantined[0].hint
        line.back = True
        await eventually(lambda: not kernel.quarantined)
        assert (await kernel.chat("hello", model="bad")).text == "hello"
        assert kernel.plugins["p"].state is PluginState.STARTED


async def test_what_needs_it_goes_and_comes_back_with_it() -> None:
    line = Line()
    tables = config(optional=True)
    tables["providers"]["roof"] = {"use": "lively", "needs": ["bad"]}
    tables["providers"]["top"] = {"use": "lively", "needs": ["roof"]}
    events: list[str] = []
    lively = noting(events)
    async with kernel_on(line, tables, lively=plugin(providers=[lively])) as kernel:
        line.lost.set()
        await eventually(lambda: len(kernel.quarantined) == 3)
        assert set(kernel.generation.providers) == {"good"}
        assert "it needs `bad`, which broke" in str(kernel.quarantined[1])
        line.back = True
        await eventually(lambda: not kernel.quarantined)
        roof: Any = kernel.generation.providers["roof"]
        assert roof.settings.needs[0].target is kernel.generation.providers["bad"]
        await eventually(lambda: "stop roof" in events)


@pytest.mark.parametrize("optional", [True, False])
async def test_a_middleware_that_breaks_leaves_the_chain_if_it_is_optional(optional: bool) -> None:
    """One that must work may be a guard: without it nothing is asked."""
    line = Line()
    asked: list[str] = []

    class Noting(Middleware):
        async def before_chat(self, call: object) -> None:
            asked.append("noting")

    tables = {"providers": {"echo": {}}, "middleware": [{"use": "m", "optional": optional}]}
    made = plugin(middleware=[connected(Noting, line)])
    async with kernel_with(tables, m=made, echo=plugin(providers=[Echo])) as kernel:
        await kernel.chat("hello")
        line.lost.set()
        await eventually(lambda: kernel.quarantined)
        if optional:
            await kernel.chat("hello")
        else:
            with pytest.raises(PluginError, match="no call is made without the middleware"):
                await kernel.chat("hello")
    assert asked == ["noting"]


async def test_a_session_store_that_breaks_is_told_and_stays() -> None:
    line = Line()
    tables = {"providers": {"echo": {}}, "sessions": {"use": "s"}}
    made = plugin(session_stores=[connected(MemorySessionStore, line)])
    async with kernel_with(tables, s=made, echo=plugin(providers=[Echo])) as kernel:
        line.lost.set()
        await eventually(lambda: any("is lost" in str(f) for f in kernel.quarantined))
        assert kernel.quarantined[0].stage is FailureStage.RUN
        assert (await kernel.chat("hello", session="x")).text == "hello"
        await kernel.reload()
        assert len(kernel.quarantined) == 1


async def test_a_reload_brings_back_what_broke() -> None:
    line = Line()
    async with kernel_on(line, config()) as kernel:
        line.lost.set()
        await eventually(lambda: any("is lost" in str(f) for f in kernel.quarantined))
        line.back = True
        report = await kernel.reload()
        assert report.started == ("[providers.bad]",)
        assert kernel.quarantined == ()
        assert (await kernel.chat("hello", model="bad")).text == "hello"


async def test_a_service_that_breaks_is_not_offered_until_it_is_back() -> None:
    class Hello(ContextAwareService):
        name = "hello"

    line = Line()
    made = plugin(services=[connected(Hello, line)])
    tables = {**config(), "plugins": {"polite": {"optional": True}}}
    async with kernel_on(Line(), tables, polite=made) as kernel:
        first = kernel.services.get("connected")
        line.lost.set()
        await eventually(lambda: kernel.quarantined)
        assert not kernel.services.has_service("connected")
        line.back = True
        await eventually(lambda: not kernel.quarantined)
        assert kernel.services.get("connected") is not first


async def test_a_service_that_comes_late_under_a_name_that_was_taken_is_out_of_order() -> None:
    line = Line()
    line.lost.set()
    made = plugin(services=[connected(ContextAwareService, line)])
    tables = {**config(), "plugins": {"polite": {"optional": True}}}
    async with kernel_on(Line(), tables, polite=made) as kernel:
        kernel.services.register("connected", 1)
        line.back = True
        await eventually(lambda: any("there is a service" in str(f) for f in kernel.quarantined))
        assert kernel.services.get("connected") == 1


async def test_the_config_can_be_read_again_when_what_a_store_shares_has_broken() -> None:
    line = Line()

    class Keeps(MemorySessionStore):
        pass

    Keeps.__annotations__ = {"shared": connected(Component, line)}
    tables = {**config(), "sessions": {"use": "keeps"}}
    async with kernel_on(Line(), tables, keeps=plugin(session_stores=[Keeps])) as kernel:
        line.lost.set()
        await eventually(lambda: kernel.quarantined)
        line.back = True
        report = await kernel.reload()
        assert report.started == ("[plugins.keeps] connected",)
        assert report.needs_restart == ("[sessions]",)
        assert (await kernel.chat("hello", model="good", session="s")).text == "hello"
