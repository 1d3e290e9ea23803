"""The keys that a server was sent, kept out of what errors repeat of its answers.

What is repeated is shortened, and half a key would not be known for one: so the keys are masked
first. Decoders and parsers do not know them; their errors can be said again by whoever does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dovetail.errors import ProviderError
from dovetail.redaction import MASK

if TYPE_CHECKING:
    from collections.abc import Mapping

SHORTEST_KEY = 8
"""Bytes a header's value must have to be taken for a key."""


class Keys:
    """What of a provider's own headers must not come back: values, and tokens behind a scheme."""

    __slots__ = ("_escaped", "_keys")

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        values = {v for value in (headers or {}).values() for v in (value, value.partition(" ")[2])}
        # The longest first: one may be a part of another.
        keys = sorted((v for v in values if len(v) >= SHORTEST_KEY), key=len, reverse=True)
        self._keys = keys
        self._escaped: re.Pattern[bytes] | None = None

    def mask(self, body: bytes) -> bytes:
        """What a server says, without the keys, should it repeat them."""
        for key in self._keys:
            body = body.replace(key.encode(), MASK.encode())
        if self._keys and (b"\\" in body or b"%" in body):
            if self._escaped is None:  # made when it is needed, since that takes milliseconds
                forms = [b"".join(map(_escaped, key)) for key in self._keys]
                self._escaped = re.compile(b"|".join(forms))
            body = self._escaped.sub(MASK.encode(), body)
        return body

    def hide(self, error: ProviderError) -> None:
        """Mask them in an error about what a server said, and in the errors that caused it."""
        told: list[BaseException] = []
        cause: BaseException | None = error
        while isinstance(cause, ProviderError) and cause not in told:
            told.append(cause)
            message = cause.message
            if cause.retell is not None:  # to the message something may have been added meanwhile
                message = message.replace(cause.retell(bytes), cause.retell(self.mask))
                cause.retell = None
            cause.message = self.mask(message.encode(errors="replace")).decode()
            cause.args = (cause.message,)
            cause = cause.__cause__


def _escaped(char: str) -> bytes:
    r"""A pattern for a character as it is, and as JSON (once or in itself) and addresses write it.

    JSON leaves a choice: `/` may be `\/`, and many libraries write `+` or `<` as numbers. Nobody
    writes letters and digits otherwise, and a pattern for each would take a second of a long key.
    """
    if char.isascii() and char.isalnum():
        return char.encode()
    units = char.encode("utf-16-be").hex()
    number = b"".join(rb"\\{1,8}u%b" % units[i : i + 4].encode() for i in range(0, len(units), 4))
    address = b"".join(b"%%%02x" % byte for byte in char.encode())
    return rb"(?:\\{0,8}%b|(?i:%b|%b))" % (re.escape(char.encode()), number, address)
