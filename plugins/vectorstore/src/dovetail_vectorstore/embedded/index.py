"""The vectors of one collection, and whose they are.

faiss allows searches beside one another but none beside a change, which a lock keeps apart.
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

import faiss
import numpy as np
import numpy.typing as npt

from dovetail_vectorstore.embedded.lists import (
    TRAINED_ON,
    content,
    make,
    numbers_in,
    one_thread,
    probes_for,
    single,
    wanted_lists,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from dovetail_vectorstore.embedded.lists import Floats, Numbers
    from dovetail_vectorstore.items import Vector

Codes: TypeAlias = npt.NDArray[np.int32]

FEWEST = 4096
"""How many vectors are searched exactly before lists are made of them."""
OTHERS = 0.5
"""Which part of the vectors may have come after the centres were made, before others are made."""
NOBODY = -1
DEEPER = 4
"""How many times as many as are asked for are looked at, at least."""


class Index:
    """Changed by one thread at a time, searched by any."""

    def __init__(
        self, dimension: int, lists: faiss.IndexIVFFlat | None = None, added: int = 0
    ) -> None:
        self.dimension = dimension
        self.lists = single(dimension) if lists is None else lists
        self.added = added
        """How many vectors came after the centres were made."""
        self.changes = 0
        """How many came or went since it was begun or loaded."""
        self._owners = np.full(256, NOBODY, np.int32)
        """The code of each number's owner; there is room behind `end`."""
        self.end = 0
        """What is above all numbers that ever were here."""
        self.known: set[int] = set()
        """The codes of all whose vectors may be here."""
        self._lock = Lock()

    def __len__(self) -> int:
        """How many vectors can be found."""
        return int(self.lists.ntotal)

    @property
    def due(self) -> bool:
        """Whether it is time to make other lists, of what is here now."""
        many = len(self) >= FEWEST or self.lists.nlist > 1
        return many and self.added > len(self) * OTHERS

    def adopt(self, numbers: Numbers, owners: Codes) -> Numbers:
        """Keep those of `numbers`, which are sorted, and no others; give what is not here."""
        here = np.sort(numbers_in(self.lists))
        self.remove(np.setdiff1d(here, numbers, assume_unique=True))
        self._own(numbers, owners)
        return np.setdiff1d(numbers, here, assume_unique=True)

    def add(self, numbers: Numbers, owners: Codes, vectors: Floats) -> None:
        """Take in vectors; their numbers are higher than all before."""
        with self._changing():
            self._own(numbers, owners)
            self.lists.add_with_ids(vectors, numbers)
            self.added += len(numbers)
            self.changes += len(numbers)

    def remove(self, numbers: Numbers) -> None:
        """Find these no more."""
        with self._changing():
            self._owners[numbers[numbers < self.end]] = NOBODY
            self.changes += self.lists.remove_ids(numbers)

    def search(
        self,
        vector: Vector,
        limit: int,
        owners: Collection[int] | None = None,
        only: Numbers | None = None,
    ) -> list[tuple[int, float]]:
        """Numbers and cosines of the nearest, the best first.

        `owners` are the codes of whose vectors are looked at, `only` the numbers; None: all.
        Fewer than `limit` are given only if there are no more.
        """
        with self._lock:
            there, chosen = len(self), None
            if owners is not None and self.known.issubset(owners):
                owners = None
            if owners is not None or only is not None:
                mask = self._mask(owners, only)
                there = int(np.count_nonzero(mask))
                chosen = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
            limit = min(limit, there)
            if not limit:
                return []
            # The rarer they are among the vectors, the more lists it takes to find them.
            lists = self.lists.nlist
            probes = self.lists.nprobe * -(-len(self) // there)
            probes = max(probes, -(-lists * DEEPER * limit // there))
            while True:
                scores, numbers = self.lists.search(
                    np.asarray(vector, np.float32)[np.newaxis],
                    limit,
                    params=faiss.SearchParametersIVF(sel=chosen, nprobe=min(probes, lists)),
                )
                found = numbers[0] >= 0
                if found.all() or probes >= lists:
                    break
                probes *= 2
        cosines = np.clip(scores[0][found], -1, 1).tolist()
        return list(zip(numbers[0][found].tolist(), cosines, strict=True))

    def merging(self) -> Merge:
        """Begin to make other lists; the index may be changed meanwhile."""
        return Merge(self)

    def finish(self, merge: Merge) -> None:
        """Go on with the lists that `merge` made, and with what has changed since it began."""
        one_thread()
        merge.take(merge.end, self.end)
        here = numbers_in(merge.made)
        merge.made.remove_ids(here[self._owners[here] == NOBODY])
        with self._lock:
            self.lists = merge.made
            self.added -= merge.added

    def part(self, number: int, begin: int, end: int) -> tuple[Numbers, Floats]:
        """What is in a list, of the numbers from `begin` to before `end`."""
        with self._lock:
            numbers, vectors = content(self.lists, number)
        chosen = (numbers >= begin) & (numbers < end)
        return (numbers, vectors) if chosen.all() else (numbers[chosen], vectors[chosen])

    def _own(self, numbers: Numbers, owners: Codes) -> None:
        self.end = int(numbers.max(initial=self.end - 1)) + 1
        if self.end > len(self._owners):
            more = max(self.end, 2 * len(self._owners)) - len(self._owners)
            self._owners = np.append(self._owners, np.full(more, NOBODY, np.int32))
        self._owners[numbers] = owners
        self.known.update(np.unique(owners).tolist())

    def _mask(self, owners: Collection[int] | None, only: Numbers | None) -> npt.NDArray[np.bool_]:
        there = self._owners[: self.end]
        mask = there != NOBODY if owners is None else np.isin(there, list(owners))
        if only is not None:
            chosen = np.zeros_like(mask)
            chosen[only[only < self.end]] = True
            mask &= chosen
        return mask

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            one_thread()
            yield


class Merge:
    """Other lists of what an index holds, made beside its use, by another thread."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.end = index.end
        """Before which numbers it takes what is there."""
        self.added = index.added
        self.made = single(index.dimension)

    def run(self) -> None:
        """Make them; takes seconds where there are many."""
        one_thread()
        count = wanted_lists(len(self.index)) if len(self.index) >= FEWEST else 1
        sample = self._sample(count * TRAINED_ON)
        if len(sample):
            self.made = make(sample, min(count, len(sample)))
        self.take(0, self.end)
        if self.made.ntotal:
            self.made.nprobe = probes_for(self.made)

    def take(self, begin: int, end: int) -> None:
        """Take over what has the numbers from `begin` to before `end`."""
        for number in range(self.index.lists.nlist):
            numbers, vectors = self.index.part(number, begin, end)
            self.made.add_with_ids(vectors, numbers)

    def _sample(self, count: int) -> Floats:
        random = np.random.default_rng(0)
        share = count / max(len(self.index), 1)
        # List after list: a copy of all vectors would be as large as the index.
        parts = (self.index.part(n, 0, self.end)[1] for n in range(self.index.lists.nlist))
        return np.concatenate([part[random.random(len(part)) < share] for part in parts])
