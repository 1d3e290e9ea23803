"""Scripts that are stopped, wait, crash; and what is left of them: nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import ServiceError
from dovetail_scripts import (
    ScriptBusy,
    ScriptCrashed,
    ScriptFailed,
    ScriptLimits,
    ScriptTimeout,
)
from plugins.scripts.tests.conftest import ENGINES, Scripts, opened
from plugins.scripts.tests.processes import children
from tests.support.processes import unmeasured

if TYPE_CHECKING:
    from plugins.scripts.tests.conftest import Host

LOOP = "begun()\nwhile True: pass"
LONG = ScriptLimits(time=60)


class Begun:
    """A host function by which a script says that it runs."""

    def __init__(self) -> None:
        self.seen = asyncio.Event()
        self.functions = {"begun": self.seen.set}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine, made anew for a test."""
    return str(request.param)


async def test_a_cancelled_script_is_gone_at_once(scripts: Scripts) -> None:
    begun = Begun()
    async with asyncio.timeout(30):
        task = asyncio.create_task(scripts.run(LOOP, functions=begun.functions))
        await begun.seen.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await scripts.run("x = 1")).variables == {"x": 1}


async def test_cancelling_reaches_the_host_function_it_waits_for(
    scripts: Scripts, host: Host
) -> None:
    async with asyncio.timeout(30):
        task = asyncio.create_task(scripts.run("slow()", functions=host.functions()))
        await host.answering.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert host.cancelled == 1
    assert (await scripts.run("x = 1")).variables == {"x": 1}


async def test_a_host_function_that_never_answers_is_cancelled_in_the_end(
    scripts: Scripts, host: Host
) -> None:
    limits = ScriptLimits(total=0.3)
    with pytest.raises(ScriptTimeout, match=r"more than 0\.3 s in all"):
        await scripts.run("slow()", functions=host.functions(), limits=limits)
    assert host.cancelled == 1


async def test_a_host_function_that_is_cancelled_itself_fails(scripts: Scripts) -> None:
    async def gone() -> None:
        raise asyncio.CancelledError

    with pytest.raises(ScriptFailed, match="a host function was cancelled"):
        await scripts.run("gone()", functions={"gone": gone})


async def test_a_worker_that_is_killed_is_replaced(engine: str) -> None:
    before, begun = children(), Begun()
    async with opened(engine=engine, time_limit=60) as kernel, asyncio.timeout(50):
        scripts = Scripts(kernel)
        task = asyncio.create_task(scripts.run(LOOP, functions=begun.functions))
        await begun.seen.wait()
        for pid in children() - before:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(ScriptCrashed, match="mood: its worker died"):
            await task
        assert (await scripts.run("x = 1")).variables == {"x": 1}


async def test_closing_the_kernel_ends_scripts_and_leaves_no_process(engine: str) -> None:
    before, begun = children(), Begun()
    async with asyncio.timeout(50):
        async with opened(engine=engine, workers=2) as kernel:
            scripts = Scripts(kernel)
            task = asyncio.create_task(scripts.run(LOOP, functions=begun.functions, limits=LONG))
            await begun.seen.wait()
            assert children() - before
        with pytest.raises(ServiceError, match="does not run"):
            await task
        with pytest.raises(ServiceError, match="does not run"):
            await scripts.run("1")
    assert children() - before == set()


async def test_as_many_run_side_by_side_as_there_are_workers(engine: str) -> None:
    async with opened(engine=engine, workers=2) as kernel, asyncio.timeout(50):
        both = asyncio.Barrier(2)

        async def meet() -> int:
            await both.wait()
            return 1

        runs = [Scripts(kernel).run("x = meet()", functions={"meet": meet}) for _ in range(2)]
        assert [r.variables for r in await asyncio.gather(*runs)] == [{"x": 1}, {"x": 1}]


async def test_scripts_that_wait_for_the_host_keep_no_other_from_its_work(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    async with opened(engine=engine) as kernel, asyncio.timeout(50):
        all_of_them = asyncio.Barrier(8)

        async def meet() -> int:
            await all_of_them.wait()
            return 1

        runs = [Scripts(kernel).run("x = meet()", functions={"meet": meet}) for _ in range(8)]
        assert [r.variables for r in await asyncio.gather(*runs)] == [{"x": 1}] * 8


async def test_scripts_that_compute_wait_for_a_core_and_not_at_their_own_cost(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    async with opened(engine=engine) as kernel, asyncio.timeout(50):
        scripts, begun = Scripts(kernel), Begun()
        loop = asyncio.create_task(scripts.run(LOOP, functions=begun.functions, limits=LONG))
        await begun.seen.wait()
        other = asyncio.create_task(scripts.run("x = 1", limits=ScriptLimits(time=0.5)))
        unwanted = asyncio.create_task(scripts.run("x = 1"))
        await asyncio.wait([other, unwanted], timeout=1)
        unwanted.cancel()
        with pytest.raises(asyncio.CancelledError):
            await unwanted
        assert not other.done()
        loop.cancel()
        assert (await other).variables == {"x": 1}
        assert (await scripts.run("x = 2")).variables == {"x": 2}


async def test_others_wait_their_turn_and_the_queue_has_an_end() -> None:
    async with opened(workers=1, queue=1) as kernel, asyncio.timeout(50):
        scripts, gate, begun = Scripts(kernel), asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            begun.set()
            await gate.wait()

        first = asyncio.create_task(scripts.run("wait()", functions={"wait": wait}))
        await begun.wait()
        second = asyncio.create_task(scripts.run("x = 2"))
        await asyncio.sleep(0)
        with pytest.raises(ScriptBusy, match="1 scripts wait for a worker already"):
            await scripts.run("x = 3", name="third")
        with pytest.raises(ScriptTimeout, match="in all"):
            second.cancel()
            await asyncio.gather(second, return_exceptions=True)
            await scripts.run("x = 4", limits=ScriptLimits(total=0.1))
        gate.set()
        await first
        assert (await scripts.run("x = 5")).variables == {"x": 5}


async def test_a_host_function_may_run_scripts_but_not_without_end() -> None:
    async with opened(workers=1) as kernel, asyncio.timeout(50):
        scripts = Scripts(kernel)
        depths: list[int] = []

        async def again(depth: int) -> Any:
            depths.append(depth)
            source = f"x = again({depth + 1})"
            return (await scripts.run(source, functions={"again": again})).variables

        with pytest.raises(ScriptFailed, match="it would be a script within 3 scripts"):
            await scripts.run("again(1)", functions={"again": again})
        assert depths == [1, 2, 3]


PROGRAM = """
import asyncio, sys
from dovetail import Kernel
from dovetail_scripts import ScriptError, ScriptExecutionContext, ScriptLimits

async def main() -> None:
    config = {"plugins": {"scripts": {"engine": sys.argv[1], "workers": 2}}}
    async with Kernel.open(config, env={}) as kernel:
        engine = kernel.services.get("script_engine")
        limits = ScriptLimits(time=0.05)
        for source in ("x = 1", "while True: pass", "x = 'x' * 10 ** 10", "print('x' * 10 ** 6)"):
            try:
                await engine.run(source, ScriptExecutionContext("s", limits=limits))
            except ScriptError:
                pass
        task = asyncio.create_task(
            engine.run("while True: pass", ScriptExecutionContext("s"))
        )
        await asyncio.sleep(0.05)
        task.cancel()

asyncio.run(main())
print("done")
"""


@pytest.mark.parametrize("round_", range(3))
def test_a_process_that_ran_hostile_scripts_ends_in_order(engine: str, round_: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, engine],
        env=unmeasured(),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("done\n")
