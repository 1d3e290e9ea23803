"""One collection of the embedded backend: what made its vectors, and the index of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import structlog

from dovetail_vectorstore.embedded.index import OTHERS, Index
from dovetail_vectorstore.embedded.saved import BadIndexError, load, save

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from dovetail_vectorstore.backend import MadeWith
    from dovetail_vectorstore.embedded.index import Codes
    from dovetail_vectorstore.embedded.lists import Numbers

log = structlog.get_logger("dovetail")

AT_ONCE = 8192
"""How many vectors are read at once."""


@dataclass(slots=True)
class Shelf:
    """A collection that is in use. Its index is loaded, and changed, by the thread that writes."""

    name: str
    code: int
    made: MadeWith
    file: Path
    store: str
    """What tells this store from every other."""
    epoch: int = 0
    """How often its vectors were forgotten: those in a file of before are others."""
    index: Index | None = None
    saved: int = 0
    """How many changes of the index are in the file."""
    merging: bool = False

    @property
    def belongs(self) -> str:
        """To which vectors the file belongs."""
        return f"{self.store}:{self.code}:{self.epoch}"

    def open_index(self, connection: sqlite3.Connection) -> Index | None:
        """The index, loaded if it is not yet; None while there are no vectors."""
        if self.index is not None or self.made.dimension is None:
            return self.index
        numbers, owners = self._present(connection)
        index = self._load(self.made.dimension)
        missing = index.adopt(numbers, owners)
        if len(missing) > len(numbers) * OTHERS:
            # Exactly, until there are other centres: those of before may find little of these.
            index = Index(self.made.dimension)
            missing = index.adopt(numbers, owners)
        self._read(connection, index, missing)
        self.index = index
        return index

    def _present(self, connection: sqlite3.Connection) -> tuple[Numbers, Codes]:
        found = connection.execute(
            "SELECT n, owner FROM items INDEXED BY items_embedded "
            "WHERE collection = ? AND embedded",
            (self.code,),
        ).fetchall()
        numbers, owners = np.array(found, np.int64).reshape(-1, 2).T
        order = np.argsort(numbers)
        return numbers[order], owners[order].astype(np.int32)

    def _load(self, dimension: int) -> Index:
        try:
            return load(self.file, self.belongs, dimension) or Index(dimension)
        except BadIndexError as error:
            message = "an index of vectors is damaged, and is made anew from what is stored"
            log.warning(message, file=str(self.file), collection=self.name, why=str(error))
            return Index(dimension)

    def _read(self, connection: sqlite3.Connection, index: Index, numbers: Numbers) -> None:
        for start in range(0, len(numbers), AT_ONCE):
            part = numbers[start : start + AT_ONCE].tolist()
            rows = connection.execute(
                "SELECT v.n, i.owner, v.vector FROM json_each(?) AS j "
                "JOIN vectors AS v ON v.n = j.value JOIN items AS i ON i.n = v.n "
                "ORDER BY v.n",
                (str(part),),
            ).fetchall()
            vectors = np.frombuffer(b"".join(row[2] for row in rows), "<f4")
            index.add(
                np.array([row[0] for row in rows], np.int64),
                np.array([row[1] for row in rows], np.int32),
                vectors.reshape(len(rows), index.dimension),
            )

    def save(self, *, least: int) -> None:
        """Put the index into the file if so many have changed, while nothing is written."""
        index = self.index
        if index is None or index.lists.nlist == 1 or index.changes - self.saved < least:
            return
        try:
            save(index, self.file, self.belongs)
        except (OSError, RuntimeError) as error:
            message = "an index of vectors could not be saved: the next start will take longer"
            log.warning(message, file=str(self.file), collection=self.name, why=str(error))
            return
        self.saved = index.changes
