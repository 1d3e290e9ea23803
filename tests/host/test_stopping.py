"""Stopping: every component is stopped, whatever another one does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from dovetail import FailureStage, KernelClosed
from tests.host.lives import Lively, noting
from tests.support.plugins import Echo, kernel_with, plugin
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from dovetail import Kernel


@pytest.mark.parametrize("how", ["raises", "hangs", "exits"])
async def test_what_fails_to_stop_is_told_and_the_others_are_stopped(how: str) -> None:
    events: list[str] = []

    class Failing(Echo):
        async def stop(self) -> None:
            if how == "raises":
                raise OSError(how)
            if how == "exits":
                raise SystemExit(how)
            await asyncio.Event().wait()

    config: dict[str, object] = {
        "kernel": {"stop_timeout": 0.05},
        "providers": {"a": {"use": "p"}, "bad": {}, "z": {"use": "p"}},
    }
    kernel = kernel_with(
        config, p=plugin(providers=[noting(events)]), bad=plugin(providers=[Failing])
    )
    await kernel.start()
    (failure,) = await kernel.close()
    assert failure.stage is FailureStage.STOP
    assert failure.component == "config mapping [providers.bad]"
    said = {"raises": "OSError", "hangs": "took longer than 0.05 s", "exits": "SystemExit"}[how]
    assert said in str(failure)
    assert events == ["start a", "start z", "stop z", "stop a"]


async def test_a_second_close_does_nothing() -> None:
    events: list[str] = []
    kernel = kernel_with({"providers": {"p": {}}}, p=plugin(providers=[noting(events)]))
    async with kernel:
        assert await kernel.close() == []
        assert await kernel.close() == []
    assert events == ["start p", "stop p"]


async def test_a_close_that_is_cancelled_stops_everything_all_the_same() -> None:
    events: list[str] = []
    stopping, gate = asyncio.Event(), asyncio.Event()

    class Slow(Lively):
        async def stop(self) -> None:
            stopping.set()
            await gate.wait()
            await super().stop()

    Slow.events = events
    config: dict[str, object] = {"providers": {"p": {}, "slow": {}}}
    kernel = kernel_with(
        config, p=plugin(providers=[noting(events)]), slow=plugin(providers=[Slow])
    )
    await kernel.start()
    closing = asyncio.create_task(kernel.close())
    await stopping.wait()
    closing.cancel()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert events[2:] == ["stop slow", "stop p"]


async def test_a_start_that_is_cancelled_stops_what_had_started() -> None:
    events: list[str] = []
    waiting = asyncio.Event()

    class Waiting(Lively):
        async def start(self) -> None:
            await super().start()
            waiting.set()
            await asyncio.Event().wait()

    Waiting.events = events
    never = {"use": "p", "needs": ["slow"]}
    providers: dict[str, object] = {"p": {}, "slow": {"needs": ["p"]}, "never": never}
    config = {"providers": providers}
    before = asyncio.all_tasks()
    kernel = kernel_with(
        config, p=plugin(providers=[noting(events)]), slow=plugin(providers=[Waiting])
    )
    starting = asyncio.create_task(kernel.start())
    await waiting.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert events == ["start p", "start slow", "stop slow", "stop p"]
    assert asyncio.all_tasks() == before


async def test_a_component_whose_task_group_breaks_is_stopped_in_its_own_task() -> None:
    started: list[object] = []
    stopped: list[object] = []
    broken = asyncio.Event()

    class Grouped(Echo):
        async def start(self) -> None:
            started.append(asyncio.current_task())
            self.group = asyncio.TaskGroup()
            await self.group.__aenter__()
            self.group.create_task(self._break())

        async def _break(self) -> None:
            await broken.wait()
            message = "the connection is lost"
            raise OSError(message)

        async def stop(self) -> None:
            stopped.append(asyncio.current_task())
            await self.group.__aexit__(None, None, None)

    kernel = kernel_with({"providers": {"p": {}}}, p=plugin(providers=[Grouped]))
    async with kernel:
        broken.set()
        await eventually(lambda: stopped)
    assert stopped == started


async def refuses_every_use(kernel: Kernel) -> bool:
    for use in (
        lambda: kernel.chat("hello"),
        lambda: kernel.embed("hello"),
        kernel.models,
        kernel.reload,
    ):
        with pytest.raises(KernelClosed, match=r"async with Kernel.open"):
            await use()
    for name in ("generation", "plugins", "quarantined", "sessions"):
        with pytest.raises(KernelClosed):
            getattr(kernel, name)
    for call in (lambda: kernel.stream("hello"), lambda: kernel.collect("providers")):
        with pytest.raises(KernelClosed):
            call()
    return True


async def test_a_kernel_that_is_not_open_or_not_any_more_says_how_to_open_one() -> None:
    kernel = kernel_with({"providers": {"p": {}}}, p=plugin(providers=[Echo]))
    assert await refuses_every_use(kernel)
    async with kernel:
        pass
    assert await refuses_every_use(kernel)


async def test_plugins_are_registered_before_the_start() -> None:
    async with kernel_with({"providers": {"p": {}}}, p=plugin(providers=[Echo])) as kernel:
        with pytest.raises(KernelClosed, match="before the kernel is opened"):
            kernel.register("late", plugin(providers=[Echo]))
        with pytest.raises(KernelClosed, match="opened before"):
            await kernel.start()


async def test_two_kernels_in_one_process_share_nothing() -> None:
    events: list[str] = []
    made = plugin(providers=[noting(events)])
    async with kernel_with({"providers": {"a": {"use": "p"}}}, p=made) as one:
        async with kernel_with({"providers": {"b": {"use": "p"}}}, p=made) as two:
            assert (await one.chat("1", model="a")).text == "1"
            assert (await two.chat("2", model="b")).text == "2"
            assert list(one.generation.providers) == ["a"]
            assert one.plugins["p"] is not two.plugins["p"]
        assert (await one.chat("still there")).text == "still there"
    assert events == ["start a", "start b", "stop b", "stop a"]
