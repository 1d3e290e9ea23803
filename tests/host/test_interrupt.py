"""Ctrl-C while the kernel starts: the process ends at once, and what had started is stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.distributions import ROOT

if TYPE_CHECKING:
    from tests.support.distributions import Distributions

HANGS_AT_IMPORT = """
import threading
print("here", flush=True)
threading.Event().wait()
"""
HANGS_AT_HOOK = """
import threading
from dovetail import hookimpl

@hookimpl
def providers():
    print("here", flush=True)
    threading.Event().wait()
"""
HANGS_AT_START = """
import asyncio
from dovetail import hookimpl
from tests.support.plugins import Echo

class First(Echo):
    async def stop(self):
        print("stopped first", flush=True)

class Second(Echo):
    async def start(self):
        print("here", flush=True)
        await asyncio.Event().wait()

    async def stop(self):
        print("stopped second", flush=True)

@hookimpl
def providers():
    return [First, Second]
"""
MAIN = """
import asyncio
from dovetail import Kernel

config = {"providers": {name: {"use": f"slow:{name}"} for name in ("first", "second")}}

async def main():
    async with Kernel.open(config, env={}):
        print("open", flush=True)

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (HANGS_AT_IMPORT, ["interrupted"]),
        (HANGS_AT_HOOK, ["interrupted"]),
        (HANGS_AT_START, ["stopped second", "stopped first", "interrupted"]),
    ],
)
def test_ctrl_c_ends_a_start_that_hangs(
    installed: Distributions, source: str, said: list[str]
) -> None:
    installed.add("slow", source)
    with subprocess.Popen(
        [sys.executable, "-c", MAIN],
        env=installed.environment(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert out.splitlines() == said
    assert (process.returncode, err) == (0, "")
