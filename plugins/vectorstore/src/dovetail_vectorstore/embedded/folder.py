"""The folder of a store, held by one process at a time."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from dovetail_vectorstore.errors import StoreInUse, VectorStoreError

DATABASE = "items.db"


class Folder:
    """A folder, made if it is not there, and held from `hold` to `release`.

    The system lets go of it when the process ends, however that comes.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path).expanduser().absolute()
        self._held: int | None = None

    @property
    def database(self) -> Path:
        """The file of the database."""
        return self.path / DATABASE

    def index(self, collection: int) -> Path:
        """The file of a collection's index."""
        return self.path / f"index-{collection}.lists"

    def indexes(self) -> list[Path]:
        """The files of all collections' indexes that are there."""
        return list(self.path.glob("index-*.lists"))

    def hold(self) -> None:
        """Hold it.

        Raises:
            StoreInUse: another process does, or another part of this one.
            VectorStoreError: it cannot be made or used.
        """
        import fcntl

        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise VectorStoreError(
                f"`{self.path}` cannot be used as the folder of a vector store: "
                f"{error.strerror or error}; name another in `path` of [plugins.vectorstore]"
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(handle, 20, 0).decode(errors="replace").strip()
            os.close(handle)
            who = f"process {holder}" if holder else "another process"
            raise StoreInUse(
                f"the vector store `{self.path}` is open in {who}, and one process at a time can "
                "use it: stop that one, or have several processes share PostgreSQL by "
                '`backend = "pgvector"` in [plugins.vectorstore]'
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        self._held = handle

    def release(self) -> None:
        """Let go of it; may be called again."""
        handle, self._held = self._held, None
        if handle is not None:
            os.close(handle)

    def size(self) -> int:
        """Bytes on disk."""
        size = 0
        for entry in self.path.iterdir():
            with suppress(OSError):  # one that has just been removed
                size += entry.stat().st_size
        return size
