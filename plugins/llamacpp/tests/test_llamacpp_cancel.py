"""Nobody waits for an answer that nobody wants."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from dovetail import ProviderUnavailable

if TYPE_CHECKING:
    from dovetail import ExecutionContext
    from plugins.llamacpp.tests.conftest import Open, Requests


async def test_leaving_a_stream_frees_its_slot(
    opened: Open, context: ExecutionContext, ask: Requests
) -> None:
    provider = await opened(slots=1, context=4096)
    for _ in range(3):
        async with aclosing(provider.send_message_stream(ask.endless(), context)) as stream:
            await anext(stream)
    async with asyncio.timeout(5):  # one answer to its end would take longer
        assert (await provider.send_message(ask.short("Hello"), context)).text


async def test_cancelling_the_task_frees_the_slot(
    opened: Open, context: ExecutionContext, ask: Requests
) -> None:
    provider = await opened(slots=1, context=4096)
    begun = asyncio.Event()

    async def read() -> None:
        async for _chunk in provider.send_message_stream(ask.endless(), context):
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(2):
            await task
    async with asyncio.timeout(5):
        assert (await provider.send_message(ask.short("Hello"), context)).text


async def test_a_request_whose_prompt_is_still_being_read_can_be_cancelled(
    opened: Open, context: ExecutionContext, ask: Requests
) -> None:
    provider = await opened(slots=1, context=8192, batch=64)
    await provider.send_message(ask.short("Hello"), context)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):  # reading this prompt takes many times as long
            await provider.send_message(ask.short("word " * 7000), context)
    async with asyncio.timeout(5):
        assert (await provider.send_message(ask.short("Hello"), context)).text


async def test_a_waiting_request_that_is_cancelled_leaves_the_queue(
    opened: Open, context: ExecutionContext, ask: Requests
) -> None:
    provider = await opened(slots=1, context=1024)
    async with aclosing(provider.send_message_stream(ask.endless(), context)) as running:
        await anext(running)
        waiting = [
            asyncio.create_task(provider.send_message(ask.short(f"Hello {i}"), context))
            for i in range(3)
        ]
        await asyncio.sleep(0)
        waiting[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
    answers = await asyncio.gather(*waiting[1:])
    assert all(answer.text for answer in answers)


async def test_a_full_queue_refuses_the_next_request(
    opened: Open, context: ExecutionContext, ask: Requests
) -> None:
    provider = await opened(slots=1, waiting=1, context=1024)
    async with aclosing(provider.send_message_stream(ask.endless(), context)) as running:
        await anext(running)
        waiting = asyncio.create_task(provider.send_message(ask.short("Hello"), context))
        await asyncio.sleep(0)
        with pytest.raises(ProviderUnavailable, match="1 requests wait for `smollm2`"):
            await provider.send_message(ask.short("Hello"), context)
    assert (await waiting).text


SCRIPT = """
import asyncio, sys, threading
from dovetail import ChatMessage, ChatRequest, ExecutionContext
from dovetail_llamacpp import LlamaCpp, LlamaCppSettings

begun = threading.Event()

async def main():
    provider = LlamaCpp()
    provider.settings = LlamaCppSettings(context=4096, threads=1)
    await provider.start()
    message = ChatMessage.user("Tell a very long story.")
    request = ChatRequest(messages=(message,), extras={"ignore_eos": True})
    async for chunk in provider.send_message_stream(request, ExecutionContext()):
        print(chunk.text, flush=True)
        begun.set()

if sys.argv[1] == "exit":  # as from a kernel whose loop runs in a thread of its own
    threading.Thread(target=asyncio.run, args=(main(),), daemon=True).start()
    begun.wait()
    sys.exit(7)
asyncio.run(main())
"""


def test_leaving_the_process_in_the_middle_of_an_answer_does_not_crash_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "exit"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=_environment(),
    )
    assert done.returncode == 7, done.stderr


def test_ctrl_c_reaches_python_in_the_middle_of_an_answer() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "go on"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _out, error = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert error.rstrip().endswith("KeyboardInterrupt")


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
