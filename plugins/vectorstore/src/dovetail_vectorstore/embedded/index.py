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
ENOUGH = 1.4
"""How many times as many lists may be wanted before other centres are made: twice the vectors."""
NOBODY = -1


class Index:
    """Changed by one thread at a time, searched by any."""

    def __init__(self, dimension: int, lists: faiss.IndexIVFFlat | None = None) -> None:
        self.dimension = dimension
        self.lists = single(dimension) if lists is None else lists
        self._owners = np.full(256, NOBODY, np.int32)
        """The code of each number's owner; there is room behind `_end`."""
        self._end = 0
        self._lock = Lock()

    def __len__(self) -> int:
        """How many vectors can be found."""
        return int(self.lists.ntotal)

    @property
    def due(self) -> bool:
        """Whether it is time to make other lists."""
        count = len(self)
        return count >= FEWEST and self.lists.nlist * ENOUGH < wanted_lists(count)

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

    def remove(self, numbers: Numbers) -> None:
        """Find these no more."""
        with self._changing():
            self._owners[numbers[numbers < self._end]] = NOBODY
            self.lists.remove_ids(numbers)

    def search(
        self,
        vector: Vector,
        limit: int,
        owners: Collection[int] | None = None,
        only: Numbers | None = None,
    ) -> list[tuple[int, float]]:
        """Numbers and cosines of the nearest, the best first.

        `owners` are the codes of whose vectors are looked at, `only` the numbers; None: all.
        """
        with self._lock:
            if not len(self):
                return []
            chosen, probes = None, self.lists.nprobe
            if owners is not None or only is not None:
                mask = self._mask(owners, only)
                chosen = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
                fewer = -(-len(self) // max(int(np.count_nonzero(mask)), 1))
                probes = min(self.lists.nlist, probes * fewer)
            scores, numbers = self.lists.search(
                np.asarray(vector, np.float32)[np.newaxis],
                min(limit, len(self)),
                params=faiss.SearchParametersIVF(sel=chosen, nprobe=probes),
            )
        found = numbers[0] >= 0
        cosines = np.clip(scores[0][found], -1, 1).tolist()
        return list(zip(numbers[0][found].tolist(), cosines, strict=True))

    def merging(self) -> Merge:
        """Begin to make other lists; the index may be changed meanwhile."""
        return Merge(self, self._end)

    def finish(self, merge: Merge) -> None:
        """Go on with the lists that `merge` made, and with what has changed since it began."""
        one_thread()
        merge.take(merge.end, self._end)
        here = numbers_in(merge.made)
        merge.made.remove_ids(here[self._owners[here] == NOBODY])
        with self._lock:
            self.lists = merge.made

    def part(self, number: int, begin: int, end: int) -> tuple[Numbers, Floats]:
        """What is in a list, of the numbers from `begin` to before `end`."""
        with self._lock:
            numbers, vectors = content(self.lists, number)
        chosen = (numbers >= begin) & (numbers < end)
        return (numbers, vectors) if chosen.all() else (numbers[chosen], vectors[chosen])

    def _own(self, numbers: Numbers, owners: Codes) -> None:
        self._end = int(numbers.max(initial=self._end - 1)) + 1
        if self._end > len(self._owners):
            more = max(self._end, 2 * len(self._owners)) - len(self._owners)
            self._owners = np.append(self._owners, np.full(more, NOBODY, np.int32))
        self._owners[numbers] = owners

    def _mask(self, owners: Collection[int] | None, only: Numbers | None) -> npt.NDArray[np.bool_]:
        there = self._owners[: self._end]
        mask = there != NOBODY if owners is None else np.isin(there, list(owners))
        if only is not None:
            chosen = np.zeros_like(mask)
            chosen[only[only < self._end]] = True
            mask &= chosen
        return mask

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._lock:
            one_thread()
            yield


class Merge:
    """Other lists of what an index holds, made beside its use, by another thread."""

    def __init__(self, index: Index, end: int) -> None:
        self.index = index
        self.end = end
        """Before which numbers it takes what is there."""
        self.made = single(index.dimension)

    def run(self) -> None:
        """Make them; takes seconds where there are many."""
        one_thread()
        count = wanted_lists(len(self.index))
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
