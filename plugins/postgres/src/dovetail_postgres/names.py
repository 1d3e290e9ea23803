"""Ids as PostgreSQL can keep them, and as people can read them."""

from __future__ import annotations

from dovetail import SessionError

LONGEST = 512
"""More characters than these an entry of an index may not be able to hold."""
SHOWN = 80


def check_name(name: str, what: str = "a session's id", *, longest: int | None = LONGEST) -> None:
    """See that a name can be stored.

    Raises:
        SessionError: it is too long, or holds what is no character.
    """
    if longest is not None and len(name) > longest:
        raise SessionError(
            f"{what} has at most {longest} characters: {brief(name)} has {len(name)}"
        )
    if name.isascii() and "\0" not in name:
        return
    try:
        name.encode()
    except UnicodeEncodeError:
        fault = "half of a surrogate pair"
    else:
        if "\0" not in name:
            return
        fault = "the character NUL"
    raise SessionError(f"{what} cannot hold {fault}: {brief(name)}")


def brief(name: str) -> str:
    """A name for a message: in backquotes, what cannot be printed escaped, not too long."""
    text = ascii(name[:SHOWN])[1:-1] if not name[:SHOWN].isprintable() else name[:SHOWN]
    return f"`{text}…`" if len(name) > SHOWN else f"`{text}`"
