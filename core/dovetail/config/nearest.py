"""The word somebody meant."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST = 100


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that is most like `word`, or `None` if none is.

    Case does not matter, `-` is `_`, and a word that is a part of just one other (`url` of
    `base_url`) is like it.
    """
    import difflib

    known = {_plain(candidate): candidate for candidate in words}
    plain = _plain(word[:_LONGEST])
    if close := difflib.get_close_matches(plain, known, n=1):
        return known[close[0]]
    holding = [candidate for candidate in known if plain in candidate.split("_")]
    return known[holding[0]] if len(holding) == 1 else None


def _plain(word: str) -> str:
    return word.casefold().replace("-", "_")
