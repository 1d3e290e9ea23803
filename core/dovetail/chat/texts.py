"""Putting pieces of text together."""

from __future__ import annotations


def joined(pieces: list[str]) -> str:
    """The text of all pieces; a surrogate pair that was split between two is made whole again."""
    text = "".join(pieces)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
