"""Inverted lists of faiss: each vector is in the list of the nearest of some centres.

A search looks at the near lists alone. How many that takes is measured when the centres are made,
on the vectors themselves: as many as it takes to find what an exact search finds. So recall stays,
and what differs is the time.
"""

from __future__ import annotations

import os
import sys
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

if sys.platform == "darwin":
    # faiss brings an OpenMP of its own there, which ends the process where another plugin has
    # brought another, such as torch's, unless it is told that we know. Ours starts no threads.
    os.environ.setdefault("KMP_DUPLICATE_LIB_OK", "TRUE")

import faiss
from faiss.contrib.inspect_tools import get_invlist

Floats: TypeAlias = npt.NDArray[np.float32]
Numbers: TypeAlias = npt.NDArray[np.int64]

TRAINED_ON = 40
"""How many vectors a centre is made of; more make it no better."""
ROUNDS = 8
SAMPLES = 200
RECALL = 0.98
"""Which part of the nearest ten the samples have to find."""
NEAREST = 10
LEAST_PROBES = 4


def one_thread() -> None:
    """Keep faiss to this thread: it would take all cores, and leave threads that survive no fork.

    OpenMP remembers it for each thread apart.
    """
    faiss.omp_set_num_threads(1)


def wanted_lists(count: int) -> int:
    """How many lists `count` vectors are best kept in."""
    return max(1, int(1.5 * count**0.5))


def single(dimension: int) -> faiss.IndexIVFFlat:
    """One list, which is searched exactly."""
    return make(np.zeros((1, dimension), np.float32), 1)


def make(sample: Floats, count: int) -> faiss.IndexIVFFlat:
    """So many lists, of which none holds anything yet."""
    dimension = sample.shape[1]
    centres = faiss.IndexFlatIP(dimension)
    lists = faiss.IndexIVFFlat(centres, dimension, count, faiss.METRIC_INNER_PRODUCT)
    lists.cp.niter, lists.cp.spherical = ROUNDS, True
    lists.cp.min_points_per_centroid, lists.cp.max_points_per_centroid = 1, TRAINED_ON
    lists.train(sample)
    return lists


def content(lists: faiss.IndexIVFFlat, number: int) -> tuple[Numbers, Floats]:
    """The numbers and vectors of one list."""
    numbers, codes = get_invlist(lists.invlists, number)
    return numbers, codes.view(np.float32)


def numbers_in(lists: faiss.IndexIVFFlat) -> Numbers:
    """The numbers of all that is in them."""
    return np.concatenate([content(lists, number)[0] for number in range(lists.nlist)])


def probes_for(lists: faiss.IndexIVFFlat) -> int:
    """How many lists have to be looked at for `RECALL`.

    Half of the samples are vectors that are there; the others lie on the way from one to another,
    as a question may lie beside the passage that answers it.
    """
    one, other = drawn(lists, SAMPLES), drawn(lists, SAMPLES, seed=2)
    one[::2] += other[::2] / 2

    def found(probes: int) -> Numbers:
        params = faiss.SearchParametersIVF(nprobe=probes)
        numbers: Numbers = lists.search(one, NEAREST, params=params)[1]
        return numbers

    most = int(lists.nlist)
    exact, probes = found(most), min(LEAST_PROBES, most)
    while probes < most:
        same = sum(np.isin(a, b).sum() for a, b in zip(exact, found(probes), strict=True))
        if same >= RECALL * exact.size:
            break
        probes = min(most, probes + max(1, probes // 8))
    return probes


def drawn(lists: faiss.IndexIVFFlat, count: int, seed: int = 1) -> Floats:
    """Some of the vectors, drawn with a seed; there has to be one."""
    ends = np.cumsum([lists.invlists.list_size(number) for number in range(lists.nlist)])
    places = np.random.default_rng(seed).choice(ends[-1], count)
    where = np.searchsorted(ends, places, side="right").tolist()
    return np.stack(
        [content(lists, n)[1][p] for n, p in zip(where, places - ends[where], strict=True)]
    )
