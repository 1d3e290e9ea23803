"""How many tokens a text has, where no model says."""

from __future__ import annotations

import re
from collections.abc import Callable

TokenCounter = Callable[[str], int]
"""Gives the tokens of a text."""

LETTERS_PER_TOKEN = 6
OTHER_LETTERS_PER_TOKEN = 4
# Words of the Latin alphabet; of alphabets beside it; and one at a time digits, signs, and
# characters of scripts without spaces.
_PIECE = re.compile(r"([A-Za-z]+)|([\u00c0-\u052f]+)|[^\s]")


def estimate_tokens(text: str) -> int:
    """About what the vocabularies of present models make of `text`.

    Within a tenth over a document in English or of source code, while one passage may have two
    fifths more, as tables of figures and signs do; other languages are counted rather too high.
    """
    tokens = 0
    for piece in _PIECE.finditer(text):
        kind = piece.lastindex
        if kind is None:
            tokens += 1
            continue
        letters = LETTERS_PER_TOKEN if kind == 1 else OTHER_LETTERS_PER_TOKEN
        tokens += 1 + (piece.end() - piece.start() - 1) // letters
    return tokens
