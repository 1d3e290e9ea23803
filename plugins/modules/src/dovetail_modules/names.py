"""What a module may be called."""

from __future__ import annotations

import unicodedata

LONGEST = 100
"""Characters of a name."""


def begins_name(character: str) -> bool:
    """Whether a name may begin with it: a letter or an underscore."""
    return character.isalpha() or character == "_"


def is_word(character: str) -> bool:
    """Whether it is a part of a word: a letter, a digit, an underscore, a combining mark."""
    return (
        character.isalnum()
        or character == "_"
        or (not character.isascii() and unicodedata.category(character).startswith("M"))
    )


def end_of_name(text: str, start: int) -> int:
    """Where the name ends that begins at `start`; `start` itself if none begins there.

    A hyphen belongs to a name only between words: `@some-name-` is `some-name`.
    """
    size = len(text)
    if start >= size or not begins_name(text[start]):
        return start
    end = start + 1
    while end < size:
        if is_word(text[end]):
            end += 1
        elif text[end] == "-" and end + 1 < size and is_word(text[end + 1]):
            end += 2
        else:
            break
    return end


def normal(name: str) -> str:
    """The one form of names that look the same."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def checked_name(name: str) -> str:
    """The name in its normal form.

    Raises:
        ValueError: a module cannot be called so.
    """
    name = normal(name)
    if not 0 < len(name) <= LONGEST or end_of_name(name, 0) != len(name):
        message = (
            f"a module's name is a letter or `_`, then letters, digits, `_` and `-`, at most "
            f"{LONGEST} characters in all"
        )
        raise ValueError(message)
    return name
