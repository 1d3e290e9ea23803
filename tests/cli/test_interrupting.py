"""Ctrl-C at every point: one clear line, no traceback, nothing hung."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from textwrap import indent
from typing import TYPE_CHECKING

import pytest

from tests.cli.terminal import CTRL_C, CTRL_D, Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.distributions import Distributions

Start = Callable[..., Terminal]

HANGING = """
import asyncio, sys, time
from dovetail import ChatProvider, StreamingChunk, hookimpl

def tell(text):
    print(f"[{text}]", file=sys.stderr, flush=True)

AT_IMPORT

class Slow(ChatProvider):
    async def start(self):
        pass
        AT_START
    async def stop(self):
        pass
        AT_STOP
    async def send_message_stream(self, request, context):
        yield StreamingChunk(text="so far")
        AT_CHAT

@hookimpl
def providers():
    return [Slow]
"""
FOREVER = "await asyncio.Event().wait()"
SWALLOW = f"""\
try:
    tell("hanging")
    {FOREVER}
except asyncio.CancelledError:
    tell("swallowed")
    {FOREVER}
"""


def install(site: Distributions, folder: Path, **code: str) -> None:
    """A plugin that runs `code` at the points named."""
    source = HANGING
    for point in ("at_import", "at_start", "at_stop", "at_chat"):
        depth = "" if point == "at_import" else " " * 8
        source = source.replace(depth + point.upper(), indent(code.get(point, "pass"), depth))
    site.add("slow", source)
    (folder / "dovetail.toml").write_text('[chat]\nmodel = "slow"\n[providers.slow]\n')


def check_end(terminal: Terminal) -> None:
    """It ends at once, with 1 and without a traceback."""
    began = time.monotonic()
    assert terminal.end() == 1
    assert time.monotonic() - began < 5
    assert "Traceback" not in terminal.seen
    assert "Exception" not in terminal.seen
    assert "Loop <" not in terminal.seen  # asyncio, of a process that nobody waited for


@pytest.mark.parametrize(
    ("point", "code"),
    [
        ("at_import", 'tell("hanging"); time.sleep(60)'),
        ("at_start", f'tell("hanging"); {FOREVER}'),
        ("at_start", 'tell("hanging"); await asyncio.to_thread(time.sleep, 60)'),
    ],
    ids=["importing", "starting", "starting-in-a-thread"],
)
@pytest.mark.parametrize("arguments", [("chat", "hello"), ("plugins", "doctor")], ids=" ".join)
def test_while_plugins_load(
    installed: Distributions,
    folder: Path,
    terminal: Start,
    arguments: tuple[str, ...],
    point: str,
    code: str,
) -> None:
    install(installed, folder, **{point: code})
    command = terminal(*arguments)
    command.expect("[hanging]")
    command.type(CTRL_C)
    command.expect("dovetail: interrupted\n")
    check_end(command)


def test_before_the_first_chunk(parrot: Distributions, terminal: Start) -> None:
    command = terminal("chat", "wait")
    command.expect("[waiting]")
    command.type(CTRL_C)
    command.expect("dovetail: stopped before the answer began\n")
    check_end(command)


def test_in_the_middle_of_an_answer(parrot: Distributions, terminal: Start) -> None:
    command = terminal("chat", "begin", "-s", "mine")
    command.expect("begun ")
    command.type(CTRL_C)
    command.expect("dovetail: stopped; what came of the answer is kept in session `mine`\n")
    check_end(command)


def test_in_the_middle_of_an_answer_that_is_json(parrot: Distributions, terminal: Start) -> None:
    command = terminal("chat", "wait", "--json")
    command.expect("[waiting]")
    command.type(CTRL_C)
    command.expect('"finish_reason":"cancelled"')
    command.expect('{"error": {"type": "Interrupted"')
    check_end(command)


def test_during_shutdown(installed: Distributions, folder: Path, terminal: Start) -> None:
    install(installed, folder, at_stop=f'tell("hanging"); {FOREVER}')
    command = terminal("chat", "hello")
    command.expect("[hanging]")
    command.type(CTRL_C)
    command.expect("ended at once\n")
    check_end(command)


@pytest.mark.parametrize("point", ["at_start", "at_chat"])
def test_a_second_time_while_stopping_is_slow(
    installed: Distributions, folder: Path, terminal: Start, point: str
) -> None:
    install(installed, folder, **{point: SWALLOW})
    command = terminal("chat", "hello", "--set", "kernel.cancel_grace=60")
    command.expect("[hanging]")
    command.type(CTRL_C)
    command.expect("[swallowed]")
    command.type(CTRL_C)
    command.expect("dovetail: interrupted again; ended at once\n")
    check_end(command)


def test_a_plugin_that_blocks_the_event_loop_is_left_behind(
    installed: Distributions, folder: Path, terminal: Start
) -> None:
    install(installed, folder, at_chat='tell("hanging"); time.sleep(60)')
    command = terminal("chat", "hello")
    command.expect("[hanging]")
    command.type(CTRL_C)
    command.expect("dovetail: stopping takes longer; Ctrl-C again ends it at once\n")
    command.type(CTRL_C)
    command.expect("ended at once\n")
    check_end(command)


def test_while_plugins_are_described(
    installed: Distributions, folder: Path, terminal: Start
) -> None:
    marker = folder / "importing"
    install(installed, folder, at_import=f'open({str(marker)!r}, "w").close(); time.sleep(60)')
    command = terminal("config", "schema")
    deadline = time.monotonic() + 30
    while not marker.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    command.type(CTRL_C)
    command.expect("dovetail: interrupted\n")
    check_end(command)


def test_what_goes_on_after_it_was_given_up_is_told_once(
    installed: Distributions, folder: Path, terminal: Start
) -> None:
    forever = """\
tell("hanging")
while True:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        pass
"""
    install(installed, folder, at_chat=forever)
    command = terminal("chat", "hello", "--set", "kernel.cancel_grace=0.1")
    command.expect("[hanging]")
    command.type(CTRL_C)
    command.expect("a run does not stop: a plugin swallows cancellation")
    command.expect("dovetail: stopped")
    assert command.end() == 1
    assert "asynchronous generator" not in command.seen


def test_after_all_is_said_it_changes_nothing(parrot: Distributions, folder: Path) -> None:
    late = """
import os, signal
from dovetail import ChatProvider, StreamingChunk, hookimpl

class Late(ChatProvider):
    async def send_message_stream(self, request, context):
        yield StreamingChunk(text="all is said")

class AtTheVeryEnd:
    def __del__(self, kill=os.kill, me=os.getpid(), signal=signal.SIGINT):
        kill(me, signal)

kept = AtTheVeryEnd()

@hookimpl
def providers():
    return [Late]
"""
    parrot.add("late", late)
    (folder / "dovetail.toml").write_text("[providers.late]\n")
    python = "import signal, sys; signal.signal(2, signal.default_int_handler); "
    done = subprocess.run(
        [sys.executable, "-c", python + "from dovetail.cli import main; sys.exit(main())", "chat"],
        env=parrot.environment(),
        input=b"hello",
        capture_output=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"all is said\n", b"")


def test_where_python_drops_exceptions_it_comes_again() -> None:
    code = """
import os, signal, sys, threading
from dovetail.cli.interrupts import run_interruptible

class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass

def work():
    Last()
    threading.Event().wait(20)
    return 0

signal.signal(2, signal.default_int_handler)
sys.exit(run_interruptible(work))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=50, check=False
    )
    assert (done.returncode, done.stderr) == (1, b"dovetail: interrupted\n")


def test_in_a_conversation_it_leads_back_to_the_prompt(
    parrot: Distributions, terminal: Start
) -> None:
    command = terminal("chat")
    command.expect("> ")
    command.type("begin\n")
    command.expect("begun ")
    command.type(CTRL_C)
    command.expect("dovetail: stopped; what came is kept\n")
    command.expect("> ")
    command.type("recall\n")
    command.expect("user: begin | assistant: begun | user: recall")
    command.expect("> ")
    command.type(CTRL_D)
    assert command.end() == 0
    assert "Traceback" not in command.seen


def test_at_the_prompt_it_drops_the_line(parrot: Distributions, terminal: Start) -> None:
    command = terminal("chat")
    command.expect("> ")
    command.type("never mind")
    command.expect("never mind")
    command.type(CTRL_C)
    command.expect("dovetail: Ctrl-D or /quit leaves\n")
    command.expect("> ")
    command.type("again\n")
    command.expect("again\nagain\n")
    command.expect("> ")
    command.type("/quit\n")
    assert command.end() == 0
    assert "Traceback" not in command.seen
