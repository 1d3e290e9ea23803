"""A real terminal with a process in it, and somebody who types and reads."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

CTRL_C = "\x03"
CTRL_D = "\x04"
PATIENCE = 30.0
"""Seconds to wait for what must come."""

# The terminal becomes the process's own, so that Ctrl-C is a signal; which may be ignored where
# the tests run in the background.
_LAUNCH = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.default_int_handler)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


class Terminal:
    """Runs Python with `arguments`; what it writes and what is typed is in `seen`."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str]) -> None:
        self._fd, slave = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, *arguments],
            env={**environment, "TERM": "dumb"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.seen = ""
        self._read_up_to = 0

    def type(self, text: str) -> None:
        """Type `text`; a newline is Return."""
        os.write(self._fd, text.encode())

    def expect(self, text: str) -> None:
        """Wait until `text` is written, after what was expected before."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.seen[self._read_up_to :]:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} did not come:\n{self.seen}"
            assert self._read(left), f"it ended before {text!r} came:\n{self.seen}"
        self._read_up_to = self.seen.index(text, self._read_up_to) + len(text)

    def end(self) -> int:
        """Wait for the process to end by itself; gives its exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline - time.monotonic()):
            assert time.monotonic() < deadline, f"it did not end:\n{self.seen}"
        return self._process.wait(PATIENCE)

    def close(self) -> None:
        """End the process however it is."""
        self._process.kill()
        self._process.wait(PATIENCE)
        os.close(self._fd)

    def _read(self, seconds: float) -> bool:
        """Take in what is written within `seconds`; False at the end."""
        ready, _, _ = select.select([self._fd], [], [], max(seconds, 0))
        data = b""
        if ready:
            with suppress(OSError):  # Linux says so when nobody has the terminal open any more
                data = os.read(self._fd, 4096)
            self.seen += data.decode(errors="replace").replace("\r\n", "\n")
            return bool(data)
        return True
