"""One collection of the embedded backend: what made its vectors, and the index of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import structlog

from dovetail_vectorstore.embedded.index import FEWEST, Index
from dovetail_vectorstore.embedded.saved import BadIndexError, load, save

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from dovetail_vectorstore.backend import MadeWith
    from dovetail_vectorstore.embedded.lists import Lists, Numbers

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
    owners: set[int] = field(default_factory=set)
    """The codes of all whose vectors may be in the index."""
    saved: Lists | None = None
    """The lists that are in the file."""
    merging: bool = False

    @property
    def belongs(self) -> str:
        """To which vectors the file belongs."""
        return f"{self.store}:{self.code}:{self.epoch}"

    def open_index(self, connection: sqlite3.Connection) -> Index | None:
        """The index, loaded if it is not yet; None while there are no vectors."""
        if self.index is not None or self.made.dimension is None:
            return self.index
        index = Index(self.made.dimension)
        present = self._present(connection)
        lists = self._load()
        missing = present
        if lists is not None:
            index.adopt(lists, present)
            missing = np.setdiff1d(present, lists.numbers, assume_unique=True)
        self._read(connection, index, missing)
        self.index, self.saved = index, lists
        return index

    def _present(self, connection: sqlite3.Connection) -> Numbers:
        found = connection.execute(
            "SELECT n, owner FROM items INDEXED BY items_embedded "
            "WHERE collection = ? AND embedded",
            (self.code,),
        ).fetchall()
        self.owners = {owner for _, owner in found}
        return np.sort(np.fromiter((number for number, _ in found), np.int64, len(found)))

    def _load(self) -> Lists | None:
        dimension = self.made.dimension
        try:
            lists = load(self.file, self.belongs)
            if lists is not None and lists.vectors.shape[1] != dimension:
                raise BadIndexError("its vectors have another dimension")
        except BadIndexError as error:
            message = "an index of vectors is damaged, and is made anew from what is stored"
            log.warning(message, file=str(self.file), collection=self.name, why=str(error))
            return None
        return lists

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

    def worth_saving(self, part: float) -> bool:
        """Whether the lists differ from those in the file by more than this part of them."""
        lists = None if self.index is None else self.index.lists
        if lists is None or lists is self.saved:
            return False
        before = 0 if self.saved is None else len(self.saved)
        return abs(len(lists) - before) > max(FEWEST // 2, before * part)

    def save(self) -> None:
        """Put the lists into the file; what it cannot hold is made anew when it is loaded."""
        index = self.index
        lists = None if index is None else index.lists
        if index is None or lists is None:
            return
        try:
            save(lists, self.file, self.belongs)
            # From now on the system may take the memory back, and read it from there again.
            again = load(self.file, self.belongs)
        except (OSError, BadIndexError) as error:
            message = "an index of vectors could not be saved: the next start will take longer"
            log.warning(message, file=str(self.file), collection=self.name, why=str(error))
            return
        self.saved = again
        if again is not None:
            index.swap(lists, again)
