"""Where lines go. A line that cannot be written is counted and dropped: a chat matters more."""

import errno
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

FOLLOW_SECONDS = 1.0
"""How often, at most, a file is compared with what is at its path now."""


class Sink:
    """Takes finished lines."""

    lost = 0
    """Lines in a row that could not be written."""

    def put(self, line: str) -> None:
        """Write a line, in one piece and at once."""
        try:
            self._write(line + "\n")
        except (OSError, ValueError):  # ValueError: the stream was closed
            self.lost += 1
        else:
            self.lost = 0

    def _write(self, line: str) -> None:
        raise OSError(errno.EBADF, "it is not open")

    def isatty(self) -> bool:
        """Whether a person watches."""
        return False

    def close(self) -> None:
        """Let go of what it writes to."""


class StderrSink(Sink):
    """The process's stderr, as it is at the time of each line."""

    def _write(self, line: str) -> None:
        # A process may run without stderr.
        if sys.stderr is not None:
            sys.stderr.write(line)
            sys.stderr.flush()

    def isatty(self) -> bool:
        """Whether stderr is a terminal."""
        try:
            return sys.stderr is not None and sys.stderr.isatty()
        except ValueError:  # it was closed
            return False


class FileSink(Sink):
    """A file that is appended to; opened anew when it was moved away or deleted (logrotate).

    Each line is one `write` to a file opened for appending, so that several writers, processes
    too, do not mix their lines.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._torn = False
        self._open()

    def _open(self) -> None:
        # Not blocking matters for a named pipe only: nobody may read it.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        self._descriptor = os.open(self._path, flags, 0o666)
        self._identity = _identity(os.fstat(self._descriptor))
        self._look_at = time.monotonic() + FOLLOW_SECONDS

    def _write(self, line: str) -> None:
        if time.monotonic() >= self._look_at:
            self._follow()
        # What UTF-8 cannot say (half a surrogate pair) is written as JSON and Python write it.
        data = line.encode("utf-8", "backslashreplace")
        if self._torn:
            data = b"\n" + data
        written = os.write(self._descriptor, data)
        self._torn = written < len(data)
        if self._torn:
            raise OSError(errno.ENOSPC, "only a part of the line was written")

    def _follow(self) -> None:
        self._look_at = time.monotonic() + FOLLOW_SECONDS
        try:
            moved = _identity(self._path.stat()) != self._identity
        except OSError:
            moved = True
        if moved and self._descriptor >= 0:
            old = self._descriptor
            with suppress(OSError):  # the old one is better than none
                self._open()
                os.close(old)

    def isatty(self) -> bool:
        """Whether the path is a terminal's."""
        return os.isatty(self._descriptor)

    def close(self) -> None:
        """Close the file; lines that come later are lost."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
