"""One ranking of two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail_vectorstore.items import Hit

if TYPE_CHECKING:
    from collections.abc import Sequence

K = 60
"""How much the first places count before the later ones: as in Cormack, Clarke and Büttcher,
"Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods" (SIGIR 2009)."""


def fuse(rankings: Sequence[Sequence[Hit]], limit: int) -> list[Hit]:
    """The best `limit` by reciprocal rank: who stands high in both is above who does in one.

    The score is 1 for what every ranking puts first.
    """
    scores: dict[tuple[str, str], float] = {}
    found: dict[tuple[str, str], Hit] = {}
    for ranking in rankings:
        for place, hit in enumerate(ranking):
            key = hit.item.key
            scores[key] = scores.get(key, 0.0) + (K + 1) / (K + 1 + place) / len(rankings)
            found.setdefault(key, hit)
    best = sorted(scores, key=lambda key: -scores[key])  # stable: of equals, the first ranking's
    return [Hit(found[key].item, scores[key]) for key in best[:limit]]
