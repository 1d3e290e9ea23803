"""The vectors of one collection: lists of most, and the latest beside them, searched exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dovetail_vectorstore.embedded.lists import Lists, build, top

if TYPE_CHECKING:
    from collections.abc import Collection

    from dovetail_vectorstore.embedded.lists import Codes, Floats, Mask, Numbers
    from dovetail_vectorstore.items import Vector

FEWEST = 4096
"""How many vectors are searched exactly before lists are made of them."""
MOST_BESIDE = 16_384
"""How many may wait beside the lists, however many there are in them."""


@dataclass(frozen=True, slots=True)
class _Beside:
    """Vectors that are in no list yet; arrays have room behind `count` for those to come."""

    numbers: Numbers
    owners: Codes
    vectors: Floats
    alive: Mask
    count: int = 0

    @classmethod
    def empty(cls, dimension: int, room: int = 256) -> _Beside:
        return cls(
            np.zeros(room, np.int64),
            np.zeros(room, np.int32),
            np.zeros((room, dimension), np.float32),
            np.ones(room, np.bool_),
        )

    def plus(self, numbers: Numbers, owners: Codes, vectors: Floats) -> _Beside:
        """With these behind. Who reads the one before sees no difference."""
        end = self.count + len(numbers)
        target = self
        if end > len(self.numbers):
            target = _Beside.empty(self.vectors.shape[1], max(end, 2 * len(self.numbers)))
            for name in ("numbers", "owners", "vectors", "alive"):
                getattr(target, name)[: self.count] = getattr(self, name)[: self.count]
        target.numbers[self.count : end] = numbers
        target.owners[self.count : end] = owners
        target.vectors[self.count : end] = vectors
        return _Beside(target.numbers, target.owners, target.vectors, target.alive, end)

    def since(self, count: int) -> _Beside:
        """Those that came after the first `count`."""
        rest = slice(count, self.count)
        made = _Beside.empty(self.vectors.shape[1], max(256, self.count - count))
        made = made.plus(self.numbers[rest], self.owners[rest], self.vectors[rest])
        made.alive[: made.count] = self.alive[rest]
        return made


@dataclass(frozen=True, slots=True)
class _State:
    lists: Lists | None
    alive: Mask
    """Of those in the lists, which were not removed since."""
    removed: int
    beside: _Beside


class Index:
    """Changed by one thread at a time, searched by any: a search sees one state of it."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._state = _State(None, np.ones(0, np.bool_), 0, _Beside.empty(dimension))

    def __len__(self) -> int:
        """How many vectors can be found."""
        state = self._state
        listed = 0 if state.lists is None else len(state.lists) - state.removed
        return listed + int(np.count_nonzero(state.beside.alive[: state.beside.count]))

    @property
    def lists(self) -> Lists | None:
        """The lists, if there are enough vectors for any."""
        return self._state.lists

    @property
    def beside(self) -> int:
        """How many vectors are in no list yet."""
        return self._state.beside.count

    @property
    def due(self) -> bool:
        """Whether it is time to take what is beside into the lists, and what was removed out."""
        state = self._state
        listed = 0 if state.lists is None else len(state.lists)
        most = min(max(FEWEST, listed // 16), MOST_BESIDE)
        return state.beside.count >= most or state.removed > max(FEWEST, listed // 4)

    def adopt(self, lists: Lists, present: Numbers) -> None:
        """Begin with `lists`, of which only those in `present` are still there (both sorted)."""
        alive = np.isin(lists.numbers, present, assume_unique=True)
        removed = int(len(alive) - np.count_nonzero(alive))
        self._state = _State(lists, alive, removed, self._state.beside)

    def add(self, numbers: Numbers, owners: Codes, vectors: Floats) -> None:
        """Take in vectors; their numbers are higher than all before."""
        state = self._state
        beside = state.beside.plus(numbers, owners, vectors)
        self._state = _State(state.lists, state.alive, state.removed, beside)

    def remove(self, numbers: Numbers) -> None:
        """Find these no more."""
        state, removed = self._state, 0
        if state.lists is not None:
            places = state.lists.places(numbers)
            removed = int(np.count_nonzero(state.alive[places]))
            state.alive[places] = False
        beside = state.beside
        known = beside.numbers[: beside.count]
        places = np.searchsorted(known, numbers)
        places = places[places < len(known)]
        beside.alive[places[np.isin(known[places], numbers)]] = False
        self._state = _State(state.lists, state.alive, state.removed + removed, beside)

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
        state = self._state
        found: list[tuple[Numbers, Floats]] = []
        if state.lists is not None and len(state.lists):
            lists = state.lists
            mask = state.alive if state.removed else None
            if owners is not None:
                mask = _both(mask, _of(lists.owners, owners))
            if only is not None:
                chosen = np.zeros(len(lists), np.bool_)
                chosen[lists.places(only)] = True
                mask = _both(mask, chosen)
            places, scores = lists.search(vector, limit, mask)
            found.append((lists.numbers[places], scores))
        if state.beside.count:
            beside, end = state.beside, slice(state.beside.count)
            mask = beside.alive[end]
            if owners is not None:
                mask = mask & _of(beside.owners[end], owners)
            if only is not None:
                mask = mask & np.isin(beside.numbers[end], only)
            scores = np.where(mask, beside.vectors[end] @ vector, np.float32(-np.inf))
            best = top(scores, limit)
            found.append((beside.numbers[best], scores[best]))
        if not found:
            return []
        numbers = np.concatenate([part for part, _ in found])
        scores = np.concatenate([part for _, part in found])
        order = np.lexsort((numbers, -scores))[:limit]
        cosines = np.clip(scores[order], -1, 1).tolist()
        return list(zip(numbers[order].tolist(), cosines, strict=True))

    def merging(self) -> Merge:
        """Begin to make new lists; the index may be changed meanwhile."""
        return Merge(self._state)

    def finish(self, merge: Merge) -> None:
        """Go on with the lists that `merge` made, and with what has changed since it began."""
        state, lists = self._state, merge.made
        beside = state.beside
        if lists is None:  # nothing was left to make lists of
            self._state = _State(None, np.ones(0, np.bool_), 0, beside.since(merge.taken))
            return
        alive = np.ones(len(lists), np.bool_)
        gone = [beside.numbers[: merge.taken][~beside.alive[: merge.taken]]]
        if state.lists is not None:
            gone.append(state.lists.numbers[~state.alive])
        alive[lists.places(np.concatenate(gone))] = False
        removed = int(len(alive) - np.count_nonzero(alive))
        self._state = _State(lists, alive, removed, beside.since(merge.taken))

    def swap(self, before: Lists, after: Lists) -> None:
        """Go on with `after`, which is the same as `before`, if that is still in use."""
        state = self._state
        if state.lists is before:
            self._state = _State(after, state.alive, state.removed, state.beside)


class Merge:
    """New lists of what an index holds, made beside its use, by another thread."""

    def __init__(self, state: _State) -> None:
        self.state = state
        self.taken = state.beside.count
        self.made: Lists | None = None

    def run(self) -> None:
        """Make them; takes seconds where there are many."""
        state, beside = self.state, self.state.beside
        keep = beside.alive[: self.taken].copy()
        numbers = [beside.numbers[: self.taken][keep]]
        owners = [beside.owners[: self.taken][keep]]
        vectors = [beside.vectors[: self.taken][keep]]
        if state.lists is not None:
            alive = state.alive.copy()
            numbers.append(state.lists.numbers[alive])
            owners.append(state.lists.owners[alive])
            vectors.append(state.lists.vectors[alive])
        if sum(map(len, numbers)):
            self.made = build(
                np.concatenate(numbers),
                np.concatenate(owners),
                np.concatenate(vectors),
                state.lists,
            )


def _of(owners: Codes, codes: Collection[int]) -> Mask:
    mask = np.zeros(len(owners), np.bool_)
    for code in codes:
        mask |= owners == code
    return mask


def _both(one: Mask | None, other: Mask) -> Mask:
    return other if one is None else one & other
