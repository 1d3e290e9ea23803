"""The words of a question that tell what it is about."""

from __future__ import annotations

import re

_WORD = re.compile(r"[\w'’-]+")  # noqa: RUF001 - people write this apostrophe
_SHORT = 3
"""Letters up to which a word in lower case is taken for one that only joins others."""
# Longer words of English that questions are made of.
_JOINING = {
    *("about", "after", "also", "because", "been", "before", "being", "between", "both"),
    *("could", "does", "doing", "done", "each", "explain", "from", "have", "having", "here"),
    *("into", "itself", "just", "know", "like", "made", "make", "many", "might", "more"),
    *("most", "much", "must", "need", "only", "other", "over", "please", "same", "shall"),
    *("should", "show", "some", "such", "take", "tell", "than", "that", "their", "them"),
    *("then", "there", "these", "they", "this", "those", "through", "under", "until", "using"),
    *("very", "want", "were", "what", "when", "where", "whether", "which", "while", "will"),
    *("with", "without", "work", "works", "would", "your", "yours"),
}


def keywords(question: str) -> str:
    """`question` without the words that stand in any question; all of it if nothing were left.

    A search by words counts them all, and a long question is mostly made of those that say nothing.
    """
    words = _WORD.findall(question)
    telling = [word for place, word in enumerate(words) if _tells(word, first=place == 0)]
    return " ".join(telling) or question


def widened(words: str) -> str:
    """`words` with the other form of each: `plugin` with `plugins`, `writes` with `write`.

    A search by words finds whole words alone, and one of them is enough.
    """
    return " ".join(form for word in words.split() for form in _forms(word))


def _forms(word: str) -> tuple[str, ...]:
    if len(word) <= _SHORT or not (word.isascii() and word.isalpha() and word[1:].islower()):
        return (word,)
    return word, (word[:-1] if word.endswith("s") else f"{word}s")


def _tells(word: str, *, first: bool) -> bool:
    if word.lower() in _JOINING or word == "I":
        return False
    # A short one may still be a name: of letters and digits, or in capitals; the first one has a
    # capital in any case.
    plain = word.isalpha() and (word.islower() or (first and word.istitle()))
    return len(word) > _SHORT or not plain
