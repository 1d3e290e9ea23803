"""The names of what is kept."""

from __future__ import annotations

from dovetail import new_id


def encoded(name: str) -> bytes:
    """An id as bytes, whose order is that of its code points; any text that Python can hold."""
    return name.encode("utf-8", "surrogatepass")


def decoded(name: bytes) -> str:
    """The id that was encoded."""
    return name.decode("utf-8", "surrogatepass")


class Keys:
    """The keys under one prefix.

    A cluster keeps all keys of one session in one place, since the part in braces is the same. An
    id has no brace there, so that it cannot end that part early.
    """

    def __init__(self, prefix: str) -> None:
        self._session = encoded(f"{prefix}{{session:")
        self._lease = encoded(f"{prefix}{{lease:")
        self.sessions = encoded(f"{prefix}sessions")
        """Every session by name; with a colon and a user behind it, those of that user."""
        self.ends = encoded(f"{prefix}ends")
        """Every session, with its user, by a time that it does not end before."""
        self.indexes = (self.sessions, self.ends)

    def of(self, session_id: str) -> tuple[bytes, bytes]:
        """What a session is kept in: its hash, and the list of its messages."""
        head = self._session + _escaped(session_id) + b"}"
        return head, head + b":messages"

    def once(self, head: bytes) -> bytes:
        """A new name for the memory of one call that changes the session."""
        return head + b":call:" + new_id().encode()

    def lease(self, lease_id: str) -> bytes:
        """What a lease is kept in."""
        return self._lease + _escaped(lease_id) + b"}"

    def user(self, user: bytes) -> bytes:
        """Where the sessions of a user, as `records` writes them, are listed by name."""
        return self.sessions + b":" + user


def _escaped(name: str) -> bytes:
    raw = encoded(name)
    if b"%" in raw or b"{" in raw or b"}" in raw:
        return raw.replace(b"%", b"%25").replace(b"{", b"%7B").replace(b"}", b"%7D")
    return raw
