"""The words of a text, as `tsvector` and `tsquery` have them.

They are taken apart here: PostgreSQL's own parser takes a path or an address for one word, and
would not find `plugins` in `docs/plugins.md`.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"\w+")
LONGEST = 2_000
"""Bytes of a word. PostgreSQL takes 2,046; two words that are the same so far are one."""
LAST = 16_383
"""The last place that PostgreSQL counts."""
MOST_PLACES = 255
"""How many places of one word it keeps."""
ROOM = 900_000
"""Bytes of the words of one text, of somewhat more than a million: later ones are not found."""
MOST = 64
"""How many words of a query are looked for."""


def vector_of(text: str) -> str:
    """The words of `text` with their places, to be cast to `tsvector`."""
    places: dict[str, list[int]] = {}
    room = ROOM
    for number, word in enumerate(_words(text), 1):
        room -= 2 if word in places else len(word.encode()) + 8
        if room < 0:
            break
        known, place = places.setdefault(word, []), min(number, LAST)
        if len(known) < MOST_PLACES and place not in known[-1:]:
            known.append(place)
    return " ".join(f"'{word}':{','.join(map(str, known))}" for word, known in places.items())


def query_of(text: str) -> list[str]:
    """The different words of `text`, each to be cast to `tsquery`."""
    return [f"'{word}'" for word in dict.fromkeys(_words(text))][:MOST]


def _words(text: str) -> list[str]:
    words = _WORD.findall(text.casefold())
    return [
        w if len(w) * 4 <= LONGEST else w.encode()[:LONGEST].decode(errors="ignore") for w in words
    ]
