"""The vectors of one collection, and whose they are.

What has come of late is searched exactly: the centres of before may be far from all of it, and
then it stands in lists that a search does not look at.

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
    SAMPLES,
    TRAINED_ON,
    content,
    drawn,
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
FURTHER = 1.2
"""How many times as far from their centres as others newcomers may be, to be found as they are."""
NOISE = 1e-4
"""Which distance is none, as where all are the same."""
LATE = 0.05
"""Which part of the vectors may be searched exactly, though it be more than `FEWEST`."""
AT_ONCE = 1024
"""How many go into lists at once; a search may have to wait for so many."""
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
        self.late = single(dimension)
        """What has come of late."""
        self._count = int(self.lists.ntotal)
        """How many are in both, for those who ask beside a change."""
        self.added = added
        """How many came into the lists after their centres were made."""
        self.changes = 0
        """How many came into the lists or went, since this was begun or loaded."""
        self._owners = np.full(256, NOBODY, np.int32)
        """The code of each number's owner; there is room behind `end`."""
        self.end = 0
        """What is above all numbers that ever were here."""
        self.known: set[int] = set()
        """The codes of all whose vectors may be here."""
        self._lock = Lock()

    def __len__(self) -> int:
        """How many vectors can be found."""
        return self._count

    @property
    def due(self) -> bool:
        """Whether it is time to put into lists what has come of late, or to make other lists."""
        late = int(self.late.ntotal)
        return late >= max(FEWEST, len(self) * LATE) or self.others(late)

    def others(self, late: int) -> bool:
        """Whether too little would be left of what the centres were made of, with so many more."""
        return self.lists.nlist > 1 and self.added + late > len(self) * OTHERS

    def adopt(self, numbers: Numbers, owners: Codes) -> Numbers:
        """Keep those of `numbers`, which are sorted, and no others; give what is not here."""
        here = np.sort(numbers_in(self.lists))  # of late there is nothing yet
        self.remove(np.setdiff1d(here, numbers, assume_unique=True))
        self._own(numbers, owners)
        return np.setdiff1d(numbers, here, assume_unique=True)

    def add(self, numbers: Numbers, owners: Codes, vectors: Floats) -> None:
        """Take in vectors; their numbers are higher than all before."""
        with self._changing():
            self._own(numbers, owners)
            self.late.add_with_ids(vectors, numbers)
            self._count += len(numbers)

    def remove(self, numbers: Numbers) -> None:
        """Find these no more."""
        with self._changing():
            self._owners[numbers[numbers < self.end]] = NOBODY
            gone = int(self.lists.remove_ids(numbers))
            self.changes += gone
            self._count -= gone + int(self.late.remove_ids(numbers))

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
            query = np.asarray(vector, np.float32)[np.newaxis]
            late = _found(self.late, query, limit, chosen, 1)
            while True:
                scores, numbers = np.hstack(
                    [late, _found(self.lists, query, limit, chosen, probes)]
                )
                if len(numbers) >= limit or probes >= lists:
                    break
                probes *= 2
        best = np.argsort(-scores, kind="stable")[:limit]
        cosines = np.clip(scores[best], -1, 1).tolist()
        return list(zip(numbers[best].astype(np.int64).tolist(), cosines, strict=True))

    def merging(self) -> Merge:
        """Begin to put into lists what has come of late; the index may be changed meanwhile."""
        return Merge(self)

    def finish(self, merge: Merge) -> None:
        """Go on with the lists that `merge` made, without what has gone since it began."""
        made = merge.made
        if made is None:
            return
        one_thread()
        here = numbers_in(made)
        made.remove_ids(here[self._owners[here] == NOBODY])
        with self._lock:
            late = numbers_in(self.late)
            self.late.remove_ids(late[late < merge.end])
            self.lists, self.added = made, 0
            self.changes += int(made.ntotal)

    def settle(self) -> bool:
        """Put some of what has come of late into the lists; False if there is nothing left."""
        with self._changing():
            numbers, vectors = (each[:AT_ONCE] for each in content(self.late, 0))
            self.lists.add_with_ids(vectors, numbers)
            self.late.remove_ids(numbers)
            self.added += len(numbers)
            self.changes += len(numbers)
            return bool(self.late.ntotal)

    def parts(self, end: int) -> Iterator[tuple[Numbers, Floats]]:
        """What has numbers below `end`, list after list."""
        for lists in (self.lists, self.late):
            for number in range(lists.nlist):
                with self._lock:
                    numbers, vectors = content(lists, number)
                chosen = numbers < end
                yield numbers[chosen], vectors[chosen]

    def fits(self) -> bool:
        """Whether what has come of late is as near to the centres as what is in the lists."""
        with self._lock:
            if not self.lists.ntotal or not self.late.ntotal:
                return False
            late = content(self.late, 0)[1]
            samples = drawn(self.lists, SAMPLES), late[:: -(-len(late) // SAMPLES)]
        far, further = (1 - np.mean(self.lists.quantizer.search(v, 1)[0]) for v in samples)
        return bool(further <= FURTHER * far + NOISE)

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
    """What has come of late goes into lists; into others, of all, where these do not fit.

    It is done beside the use of the index, by another thread; one of an index at a time.
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self.end = index.end
        """Before which numbers it takes what is there."""
        self.made: faiss.IndexIVFFlat | None = None
        """The other lists."""

    def run(self) -> None:
        """Do it; takes seconds where there are many."""
        one_thread()
        index = self.index
        others = index.lists.nlist == 1 or index.others(int(index.late.ntotal))
        if not others and index.fits():
            while index.settle():
                pass
            return
        count = wanted_lists(len(index)) if len(index) >= FEWEST else 1
        sample = self._sample(count * TRAINED_ON)
        self.made = (
            make(sample, min(count, len(sample))) if len(sample) else single(index.dimension)
        )
        for numbers, vectors in index.parts(self.end):
            self.made.add_with_ids(vectors, numbers)
        if self.made.ntotal:
            self.made.nprobe = probes_for(self.made)

    def _sample(self, count: int) -> Floats:
        random = np.random.default_rng(0)
        share = count / max(len(self.index), 1)
        # List after list: a copy of all vectors would be as large as the index.
        parts = (vectors for _, vectors in self.index.parts(self.end))
        return np.concatenate([part[random.random(len(part)) < share] for part in parts])


def _found(
    lists: faiss.IndexIVFFlat,
    query: Floats,
    limit: int,
    chosen: faiss.IDSelector | None,
    probes: int,
) -> npt.NDArray[np.float64]:
    params = faiss.SearchParametersIVF(sel=chosen, nprobe=min(probes, lists.nlist))
    scores, numbers = lists.search(query, limit, params=params)
    there = numbers[0] >= 0
    # Numbers are exact as this, up to 2 ** 53.
    return np.stack([scores[0][there].astype(np.float64), numbers[0][there].astype(np.float64)])
