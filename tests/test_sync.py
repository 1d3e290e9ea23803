"""The synchronous twin."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from dovetail import (
    FinishReason,
    KernelClosed,
    ModelNotFound,
    PluginError,
    StartError,
    SyncKernel,
)
from tests.support.distributions import ROOT
from tests.support.kernels import kernel_of
from tests.support.models import Echo, Gated
from tests.support.processes import unmeasured

if TYPE_CHECKING:
    from dovetail import Component


def sync_of(*classes: type[Component]) -> SyncKernel:
    """The twin of `kernel_of`."""
    return SyncKernel(lambda: kernel_of(*classes))


def test_a_chat_without_await() -> None:
    with sync_of(Echo) as kernel:
        assert kernel.chat("well met", session="s").text == "well met "
        assert kernel.models() == []


def test_a_stream_without_await() -> None:
    with sync_of(Echo) as kernel, kernel.stream("a b c") as stream:
        assert [chunk.text for chunk in stream] == ["a ", "b ", "c "]
        assert stream.response.text == "a b c "


def test_leaving_a_stream_early_keeps_what_came() -> None:
    with sync_of(Gated) as kernel:
        with kernel.stream("x", session="s") as stream:
            for _ in stream:
                break
        assert stream.response.finish_reason is FinishReason.CANCELLED
        session = kernel.call(kernel.kernel.sessions.get_session("s"))
        assert session is not None
        assert [m.text for m in session.history] == ["x", "begun "]


def test_what_the_caller_raises_cancels_the_turn() -> None:
    with sync_of(Gated) as kernel:
        with pytest.raises(KeyboardInterrupt), kernel.stream("x") as stream:
            for _ in stream:
                raise KeyboardInterrupt
        assert kernel.kernel.runs.get_active_session_count() == 0


def test_errors_come_through() -> None:
    with sync_of(Echo) as kernel, pytest.raises(ModelNotFound):
        kernel.chat("x", model="nobody/m")


def test_a_kernel_that_cannot_start_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    with (
        pytest.raises(StartError),
        SyncKernel(lambda: kernel_of(Echo, providers={"more": {"use": "missing"}})),
    ):
        pass
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(5)  # one that has done its work may not have ended yet
    assert not [thread for thread in left if thread.is_alive()]


def test_it_works_inside_a_running_loop() -> None:
    async def notebook() -> str:
        with sync_of(Echo) as kernel:
            return kernel.chat("x").text

    assert asyncio.run(notebook()) == "x "


def test_several_threads_may_use_it() -> None:
    answers: list[str] = []
    with sync_of(Echo) as kernel:
        threads = [
            threading.Thread(target=lambda n=n: answers.append(kernel.chat(f"{n}").text))
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answers) == [f"{n} " for n in range(8)]


def test_a_closed_kernel_says_so() -> None:
    kernel = sync_of(Echo)
    with pytest.raises(KernelClosed, match="not open"):
        kernel.chat("x")
    with kernel:
        pass
    with pytest.raises(KernelClosed, match="not open"):
        kernel.chat("x")


INTERRUPTED = """
import random
import signal
from tests.support.kernels import kernel_of
from tests.support.models import Echo
from dovetail import SyncKernel

armed = False

def interrupt(*_):
    if armed:
        raise KeyboardInterrupt

moments = random.Random(7)
signal.signal(signal.SIGALRM, interrupt)
with SyncKernel(lambda: kernel_of(Echo)) as kernel:
    for number in range(600):
        try:  # the timer fires once: what comes while it is disarmed is caught here
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, 1e-5 + moments.random() * 6e-4)
                if number % 2:
                    kernel.chat("a b c", session=f"s{number}")
                else:
                    with kernel.stream("a b c", session=f"s{number}") as stream:
                        list(stream)
            finally:
                armed = False
        except KeyboardInterrupt:
            pass
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
    print(kernel.chat("still there").text, kernel.kernel.runs.get_active_session_count())
"""


def test_interrupts_at_any_moment_leave_nothing_behind() -> None:
    # In a process of its own: what Python does of an interrupt inside its own callbacks is noise.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", INTERRUPTED],
        env=unmeasured(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.stdout.split() == ["still", "there", "0"], done.stderr


def test_a_call_that_outlives_the_kernel_is_let_go() -> None:
    began = threading.Event()
    raised: list[BaseException] = []

    async def for_ever() -> None:
        began.set()
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    def call(kernel: SyncKernel) -> None:
        try:
            kernel.call(for_ever())
        except KernelClosed as error:
            raised.append(error)

    with sync_of(Echo) as kernel:
        thread = threading.Thread(target=call, args=(kernel,), daemon=True)
        thread.start()
        began.wait()
    thread.join(10)
    assert not thread.is_alive()
    assert raised


def test_a_plugin_that_blocks_does_not_keep_the_caller() -> None:
    release = threading.Event()

    class Blocks(Echo):
        async def start(self) -> None:
            release.wait(20)

    try:
        with (
            pytest.raises(PluginError, match=r"`start\(\)` has blocked the event loop"),
            SyncKernel(lambda: kernel_of(Blocks, kernel={"start_timeout": 0.3})),
        ):
            pass
    finally:
        release.set()
