"""Vectors in inverted lists, of which a search looks at the near ones alone.

Each vector is in the list of the nearest of some centres.

How many lists that takes is measured when the centres are made, on the vectors themselves: as many
as it takes to find what an exact search finds. So recall stays, and what differs is the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from dovetail_vectorstore.items import Vector

Floats: TypeAlias = npt.NDArray[np.float32]
Numbers: TypeAlias = npt.NDArray[np.int64]
Codes: TypeAlias = npt.NDArray[np.int32]
Mask: TypeAlias = npt.NDArray[np.bool_]

TRAINED_ON = 40
"""How many vectors a centre is made of; more make it no better."""
ROUNDS = 8
ENOUGH = 1.4
"""How many times as many lists may be wanted before other centres are made: twice the vectors."""
AT_ONCE = 4096
"""How many vectors are compared with all centres at once: some megabytes."""
SAMPLES = 200
RECALL = 0.98
"""Which part of the nearest ten the samples have to find."""
NEAREST = 10
LEAST_PROBES = 4


@dataclass(frozen=True)
class Lists:
    """Vectors, list after list. Nothing of it changes."""

    numbers: Numbers
    """The number of each vector's item."""
    owners: Codes
    """The code of each one's owner."""
    vectors: Floats
    offsets: Numbers
    """Where each list begins, and where the last one ends."""
    centres: Floats
    probes: int
    """How many lists a search looks at."""

    def __len__(self) -> int:
        """How many vectors there are."""
        return len(self.numbers)

    @cached_property
    def _order(self) -> tuple[Numbers, npt.NDArray[np.intp]]:
        order = np.argsort(self.numbers, kind="stable")
        return self.numbers[order], order

    def places(self, numbers: Numbers) -> npt.NDArray[np.intp]:
        """Where those of `numbers` are that are here."""
        known, order = self._order
        found = np.searchsorted(known, numbers)
        found[found == len(known)] = 0
        places: npt.NDArray[np.intp] = order[found[known[found] == numbers]]
        return places

    def search(
        self, vector: Vector, limit: int, mask: Mask | None
    ) -> tuple[npt.NDArray[np.intp], Floats]:
        """Places and cosines of the nearest, in no order; only where `mask` is true."""
        probes = self.probes
        if mask is not None:
            allowed = int(np.count_nonzero(mask))
            probes = min(len(self.centres), -(-probes * len(self) // max(allowed, 1)))
            if allowed * len(self.centres) <= 2 * probes * len(self):
                return exactly(self.vectors, vector, limit, np.flatnonzero(mask))
        near = self.centres @ vector
        if probes < len(near):
            chosen = np.argpartition(-near, probes)[:probes]
        else:
            chosen = np.arange(len(near))
        begins, ends = self.offsets[chosen], self.offsets[chosen + 1]
        scores = np.concatenate(
            [
                self.vectors[begin:end] @ vector
                for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)
            ]
        )
        behind = np.cumsum(ends - begins)
        if mask is not None:
            scores = np.where(
                np.concatenate([mask[b:e] for b, e in zip(begins, ends, strict=True)]),
                scores,
                np.float32(-np.inf),
            )
        best = top(scores, limit)
        which = np.searchsorted(behind, best, side="right")
        return best - behind[which] + ends[which], scores[best]


def exactly(
    vectors: Floats, vector: Vector, limit: int, places: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.intp], Floats]:
    """Places and cosines of the nearest of those at `places`, in no order."""
    parts = [
        vectors[places[start : start + AT_ONCE]] @ vector
        for start in range(0, len(places), AT_ONCE)
    ]
    scores = np.concatenate(parts) if parts else np.empty(0, np.float32)
    best = top(scores, limit)
    return places[best], scores[best]


def top(scores: Floats, limit: int) -> npt.NDArray[np.intp]:
    """Where the highest are, in no order; none that is minus infinity."""
    best = (
        np.argpartition(-scores, limit)[:limit] if limit < len(scores) else np.arange(len(scores))
    )
    return best[scores[best] > -np.inf]


def build(numbers: Numbers, owners: Codes, vectors: Floats, trained: Lists | None = None) -> Lists:
    """Lists of these vectors; with the centres of `trained` if they are still enough."""
    if trained is not None and len(trained.centres) * ENOUGH >= wanted_lists(len(numbers)):
        centres, probes = trained.centres, trained.probes
    else:
        centres, probes = _train(vectors), 0
    nearest = _nearest(vectors, centres)
    order = np.argsort(nearest, kind="stable")
    offsets = np.zeros(len(centres) + 1, np.int64)
    np.cumsum(np.bincount(nearest, minlength=len(centres)), out=offsets[1:])
    made = Lists(
        numbers[order],
        owners[order],
        np.ascontiguousarray(vectors[order]),
        offsets,
        centres,
        probes,
    )
    if probes:
        return made
    return Lists(made.numbers, made.owners, made.vectors, offsets, centres, _probes(made))


def wanted_lists(count: int) -> int:
    """How many lists `count` vectors are best kept in."""
    return max(1, int(1.5 * count**0.5))


def _train(vectors: Floats) -> Floats:
    """Centres, by k-means on the sphere."""
    random = np.random.default_rng(0)
    lists = wanted_lists(len(vectors))
    count = min(len(vectors), lists * TRAINED_ON)
    sample = vectors[np.sort(random.choice(len(vectors), count, replace=False))]
    centres = sample[random.choice(count, lists, replace=False)]
    for _ in range(ROUNDS):
        nearest = _nearest(sample, centres)
        order = np.argsort(nearest, kind="stable")
        sizes = np.bincount(nearest, minlength=lists)
        filled = sizes > 0
        begins = (np.cumsum(sizes) - sizes)[filled]
        centres[filled] = np.add.reduceat(sample[order], begins, axis=0)
        centres[~filled] = sample[random.choice(count, int((~filled).sum()))]
        lengths = np.linalg.norm(centres, axis=1, keepdims=True)
        centres /= np.maximum(lengths, np.float32(1e-30))
    return centres


def _nearest(vectors: Floats, centres: Floats) -> npt.NDArray[np.intp]:
    parts = [
        (vectors[start : start + AT_ONCE] @ centres.T).argmax(axis=1)
        for start in range(0, len(vectors), AT_ONCE)
    ]
    return np.concatenate(parts)


def _probes(lists: Lists) -> int:
    """How many lists have to be looked at for `RECALL`.

    Half of the samples are vectors that are there; the others lie on the way from one to another,
    as a question may lie beside the passage that answers it.
    """
    random = np.random.default_rng(1)
    one, other = random.choice(len(lists), (2, SAMPLES))
    queries = lists.vectors[one].copy()
    queries[::2] += lists.vectors[other[::2]] / 2
    where = np.zeros((SAMPLES, 0), np.intp)
    scores = np.zeros((SAMPLES, 0), np.float32)
    for start in range(0, len(lists), AT_ONCE):
        found = queries @ lists.vectors[start : start + AT_ONCE].T
        scores = np.concatenate([scores, found], axis=1)
        places = np.broadcast_to(np.arange(start, start + found.shape[1]), found.shape)
        where = np.concatenate([where, places], axis=1)
        if scores.shape[1] > NEAREST:
            best = np.argpartition(-scores, NEAREST, axis=1)[:, :NEAREST]
            scores = np.take_along_axis(scores, best, axis=1)
            where = np.take_along_axis(where, best, axis=1)
    in_list = np.searchsorted(lists.offsets, where, side="right") - 1
    ranks = np.argsort(np.argsort(-(queries @ lists.centres.T), axis=1), axis=1)
    needed = np.sort(np.take_along_axis(ranks, in_list, axis=1).ravel())
    probes = int(needed[min(int(RECALL * len(needed)), len(needed) - 1)]) + 1
    return min(max(probes, LEAST_PROBES), len(lists.centres))
