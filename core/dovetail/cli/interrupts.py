"""What Ctrl-C does: the first stops what is going on in good order, the next ends the process.

The first raises `KeyboardInterrupt` in the main thread, while the kernel runs in another; whoever
waits for the kernel then cancels what it waited for. Stopping is bounded but may take seconds, so a
second Ctrl-C does not wait for it. Nor does one that comes when there is nothing to stop any more.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from sys import UnraisableHookArgs
    from types import FrameType
    from typing import NoReturn

SLOW = 1.0
"""Seconds of stopping after which a person is told that it takes longer."""


class _Interrupts:
    armed = True
    """Whether the next Ctrl-C stops in good order."""
    stopping = False
    """Whether the last one is still being obeyed."""
    lost = False
    """Whether one was raised where Python drops exceptions, and is to be sent again."""
    happened = False


_state = _Interrupts()


def run_interruptible(work: Callable[[], int]) -> int:
    """What `work()` returns; 1, and a line on stderr, if it was interrupted."""
    # A process in the background has it ignored, and that shall stay so.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _on_interrupt)
        # Registered first, so called last: what is left then takes Python's handler away and would
        # have the signal end the process, with another exit code.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
        _watch()
    try:
        code = work()
    except KeyboardInterrupt:
        disarm()
        say("interrupted")
        code = 1
    disarm()
    _state.stopping = False
    if _state.happened or code:
        _leave(code)
    return code


def arm() -> None:
    """Let the next Ctrl-C stop in good order again: what the last one stopped has ended."""
    _state.stopping = False
    _state.armed = True


def disarm() -> None:
    """Let the next Ctrl-C end the process at once: all is kept that is to be kept."""
    _state.armed = False


def leave_to_others() -> None:
    """Let Ctrl-C do what it does in any Python program."""
    if signal.getsignal(signal.SIGINT) is _on_interrupt:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def say(text: str) -> None:
    """A line on stderr, below what the terminal shows of Ctrl-C."""
    newline = "\n" if sys.stderr.isatty() else ""
    with suppress(OSError, ValueError):  # nobody may read it any more
        sys.stderr.write(f"{newline}dovetail: {text}\n")
        sys.stderr.flush()


def _leave(code: int) -> NoReturn:
    """End the process without waiting for its threads: one that a plugin left may never end."""
    atexit._run_exitfuncs()  # noqa: SLF001 - the interpreter's own way to call them
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _on_interrupt(_number: int, _frame: FrameType | None) -> None:
    _state.happened = True
    if _state.armed:
        _state.armed = False
        _state.stopping = True
        raise KeyboardInterrupt
    _write("interrupted again; ended at once" if _state.stopping else "interrupted; ended at once")
    os._exit(1)


def _watch() -> None:
    """See to it that Ctrl-C reaches the main thread.

    Linux may hand the signal to any thread, for instance to one that just starts another. Python
    notes it for the main thread but does not wake that from waiting for a lock. So it is woken by a
    signal that is meant for it alone.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGURG, lambda _number, _frame: None)
    main = threading.get_ident()
    others = sys.unraisablehook

    def look_at_dropped(dropped: UnraisableHookArgs) -> None:
        # A weak reference's callback and `__del__` run wherever the last reference goes.
        if dropped.exc_type is KeyboardInterrupt and _state.stopping:
            _state.lost = True
            os.write(writer, b"\0")
        else:
            others(dropped)

    sys.unraisablehook = look_at_dropped

    threading.Thread(
        target=_look, args=(reader, main), name="dovetail-interrupts", daemon=True
    ).start()


def _look(reader: int, main: int) -> None:
    while True:
        limit = SLOW if _state.stopping else None
        if _state.lost:
            time.sleep(0.05)  # until the main thread has left what drops exceptions
            _state.lost, _state.armed = False, True
            signal.pthread_kill(main, signal.SIGINT)
        elif not select.select([reader], [], [], limit)[0]:
            if _state.stopping:
                _state.stopping = False
                _write("stopping takes longer; Ctrl-C again ends it at once")
        elif signal.SIGINT in os.read(reader, 16):
            for _ in range(2):  # the first may come just before the main thread goes to wait
                signal.pthread_kill(main, signal.SIGURG)
                time.sleep(0.05)


def _write(line: str) -> None:
    with suppress(OSError):  # nobody may read it any more
        os.write(2, f"\ndovetail: {line}\n".encode())
