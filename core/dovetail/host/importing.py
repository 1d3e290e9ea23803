"""Running a plugin's synchronous code: in a daemon thread, with a limit.

A module that hangs at import would keep a pool's thread, and so the process, from ever exiting;
a daemon thread does not.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
import time
from contextlib import suppress
from functools import reduce
from typing import TYPE_CHECKING, TypeVar

from dovetail.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class TookTooLong(PluginError):
    """Not done within its limit. Not `TimeoutError`: that the plugin may raise itself."""


async def call_in_thread(work: Callable[[], T], limit: float, what: str) -> T:
    """What `work()` returns or raises, within `limit` seconds; `what` names it in the error.

    Raises:
        TookTooLong: it took longer; it goes on in its thread, and its result is dropped.
        PluginError: it tried to end the thread (`SystemExit`, `StopIteration`).
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def report(settle: Callable[[], None]) -> None:
        if not done.done():
            settle()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - also `SystemExit` must reach the host
            failure = _deliverable(error, what)
            settle = lambda: done.set_exception(failure)  # noqa: E731 - one expression
        else:
            settle = lambda: done.set_result(result)  # noqa: E731 - one expression
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(report, settle)

    threading.Thread(target=run, name="dovetail-plugin", daemon=True).start()
    try:
        await asyncio.wait([done], timeout=limit)
        if done.done():
            return done.result()
    finally:
        done.cancel()  # whatever comes now comes too late
    message = f"{what} took longer than {limit:g} s"
    raise TookTooLong(message)


def import_object(path: str) -> tuple[object, float]:
    """Import `module` or `module:attribute`; gives it and the seconds it took."""
    started = time.perf_counter()
    module, _, attributes = path.partition(":")
    loaded: object = importlib.import_module(module)
    loaded = reduce(getattr, filter(None, attributes.split(".")), loaded)
    return loaded, time.perf_counter() - started


def _deliverable(error: BaseException, what: str) -> BaseException:
    """The error itself, or a `PluginError` for what a future cannot carry."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    wrapped = PluginError(f"{what} raised {type(error).__name__}")
    wrapped.__cause__ = error
    return wrapped
