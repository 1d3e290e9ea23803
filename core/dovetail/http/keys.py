"""The keys that a server was sent, kept out of what errors repeat of its answers.

What is repeated is shortened, and half a key would not be known for one: so the keys are masked
first. Decoders and parsers do not know them; their errors can be said again by whoever does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import to_json

from dovetail.errors import ProviderError
from dovetail.redaction import MASK

if TYPE_CHECKING:
    from collections.abc import Mapping

SHORTEST_KEY = 8
"""Bytes a header's value must have to be taken for a key."""


class Keys:
    """What of a provider's own headers must not come back: values, and tokens behind a scheme."""

    __slots__ = ("_forms",)

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        values = {v for value in (headers or {}).values() for v in (value, value.partition(" ")[2])}
        # As they are and as JSON writes them; the longest first, one may be a part of another.
        forms = {form for v in values for form in (v.encode(), to_json(v)[1:-1])}
        self._forms = sorted((f for f in forms if len(f) >= SHORTEST_KEY), key=len, reverse=True)

    def mask(self, body: bytes) -> bytes:
        """What a server says, without the keys, should it repeat them."""
        for form in self._forms:
            body = body.replace(form, MASK.encode())
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
