"""Running a coroutine for a command that opens no kernel."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from dovetail.host.watchdog import wait_for_loop

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")
SECONDS_TO_END = 1.0
"""How long what the coroutine left running may take to end."""


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns or raises; broken off, it is cancelled and waited for.

    It runs in another thread: the host takes whatever a plugin's code raises for the plugin's, and
    in the main thread that could be Ctrl-C. Unlike `asyncio.run` this does not wait for threads
    that a plugin left behind.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)
    done: Future[T] = Future()

    def run() -> None:
        try:
            loop.run_until_complete(asyncio.wait([task]))
            _finish(loop)
            done.set_result(task.result())
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            done.set_exception(error)

    threading.Thread(target=run, name="dovetail-command", daemon=True).start()
    try:
        wait_for_loop(lambda seconds: wait([done], seconds).done, loop)
        return done.result()
    except KeyboardInterrupt:
        with suppress(RuntimeError):  # the loop was closed: it has ended by itself
            loop.call_soon_threadsafe(task.cancel)
        wait_for_loop(lambda seconds: wait([done], seconds).done, loop)
        raise


def _finish(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=SECONDS_TO_END))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
