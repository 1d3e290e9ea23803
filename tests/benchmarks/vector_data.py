"""The vectors that are added and searched for, with their texts and metadata."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

SIZE = 256
CLUSTER = 100
"""How many vectors a cluster has."""
SPREAD = 0.6
"""How far a vector is from the centre of its cluster, by how far that is from the middle."""
CARRY_MOST = 40
REST = 0.1
"""What the other numbers of a smooth vector are, by those that carry most."""
QUERIES = 100
NEAREST = 10
_WORDS = (
    *("joint", "wood", "dovetail", "mortise", "tenon", "saw", "chisel"),
    *("glue", "plank", "oak", "pine", "grain", "bench", "clamp"),
)


class Data(NamedTuple):
    """Float32 arrays, a row of length 1 for each vector."""

    vectors: Any
    queries: Any


def clustered(count: int) -> Data:
    """Vectors in clusters, and queries from the same clusters."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(count // CLUSTER, SIZE)).astype(np.float32)

    def drawn(number: int) -> Any:
        made = SPREAD * random.standard_normal((number, SIZE), np.float32)
        made += centres[random.integers(0, len(centres), number)]
        return _unit(made)

    return Data(drawn(count), drawn(QUERIES))


def smooth(count: int) -> Data:
    """Vectors without clusters, and queries like them: few numbers carry most of each."""
    random = np.random.default_rng(0)
    scale = np.full(SIZE, REST, np.float32)
    scale[:CARRY_MOST] = 1

    def drawn(number: int) -> Any:
        return _unit(random.standard_normal((number, SIZE), np.float32) * scale)

    return Data(drawn(count), drawn(QUERIES))


def text_of(number: int) -> str:
    """A text of twelve words for each vector."""
    words = (_WORDS[(number * step + step) % len(_WORDS)] for step in range(1, 12))
    return " ".join((*words, f"number{number}"))


def metadata_of(number: int) -> dict[str, Any]:
    """What is known of each."""
    return {"language": ("en", "de", "fr")[number % 3], "page": number % 100}


def _unit(made: Any) -> Any:
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made
