"""Plugins that block instead of awaiting: the kernel goes on where it can, and says who it was."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from dovetail import FailureStage
from dovetail.host.watchdog import LoopBlocked, blocked_by, wait_for_loop
from tests.support.plugins import Echo, kernel_with, only_failure, plugin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dovetail import Failure

SECONDS = 20.0


class Gate:
    """Blocks whoever calls `wait`; opened from another thread once the loop is known as blocked."""

    def __init__(self) -> None:
        self.seen: Failure | None = None
        self._open = threading.Event()

    def wait(self) -> None:
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._look, args=(loop,)).start()
        assert self._open.wait(SECONDS)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        end = time.monotonic() + SECONDS / 2
        while self.seen is None and time.monotonic() < end:
            self.seen = blocked_by(loop)
        self._open.set()

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open()


async def test_a_constructor_that_blocks_ends_at_its_limit() -> None:
    never = threading.Event()

    class Blocking(Echo):
        def __init__(self) -> None:
            never.wait(SECONDS)

    config = {"kernel": {"import_timeout": 0.1}, "providers": {"p": {}}}
    failure = await only_failure(kernel_with(config, p=plugin(providers=[Blocking])))
    never.set()
    assert failure.stage is FailureStage.START
    assert "its constructor took longer than 0.1 s" in str(failure)
    assert "import_timeout" in failure.hint


@pytest.mark.parametrize("stage", ["start", "stop"])
async def test_a_component_that_blocks_the_loop_is_named_while_it_does(
    stage: str, gate: Gate
) -> None:
    class Blocking(Echo):
        async def start(self) -> None:
            if stage == "start":
                gate.wait()

        async def stop(self) -> None:
            if stage == "stop":
                gate.wait()

    config = {
        "kernel": {"start_timeout": 0.05, "stop_timeout": 0.05},
        "providers": {"good": {"use": "echo"}, "bad": {"use": "p"}},
    }
    kernel = kernel_with(config, p=plugin(providers=[Blocking]), echo=plugin(providers=[Echo]))
    with capture_logs() as logs:
        async with kernel:
            pass
    assert gate.seen is not None
    told = str(gate.seen)
    assert told.startswith(f"plugin `p`, config mapping [providers.bad] failed at {stage}: ")
    assert f"`{stage}()` has blocked the event loop for 0.05 s" in told
    assert "it must await; blocking work belongs in `asyncio.to_thread()`" in told
    assert [line["event"] for line in logs].count(told) == 1
    assert blocked_by(asyncio.get_running_loop()) is None
    assert not any(thread.name == "dovetail-watchdog" for thread in threading.enumerate())


async def test_a_start_that_takes_its_time_and_awaits_blocks_nothing() -> None:
    class Slow(Echo):
        async def start(self) -> None:
            for _ in range(20):
                await asyncio.sleep(0.01)

    config = {"kernel": {"stop_timeout": 0.05}, "providers": {"p": {}}}
    with capture_logs() as logs:
        async with kernel_with(config, p=plugin(providers=[Slow])):
            pass
    assert logs == []


def test_another_thread_that_waits_for_a_blocked_loop_may_give_up() -> None:
    entered = threading.Event()
    leave = threading.Event()

    class Blocking(Echo):
        async def start(self) -> None:
            entered.set()
            leave.wait(SECONDS)

    config = {"kernel": {"start_timeout": 0.05}, "providers": {"p": {}}}

    async def open_and_close() -> None:
        async with kernel_with(config, p=plugin(providers=[Blocking])):
            pass

    loop = asyncio.new_event_loop()
    done = threading.Event()

    def run() -> None:
        loop.run_until_complete(open_and_close())
        loop.close()
        done.set()

    threading.Thread(target=run).start()
    assert entered.wait(SECONDS)
    with pytest.raises(LoopBlocked, match=r"`start\(\)` has blocked the event loop"):
        wait_for_loop(done.wait, loop)
    leave.set()
    assert done.wait(SECONDS)
