"""Where a request stands in a trace that began elsewhere, as W3C Trace Context (level 1) has it.

The trace's id is the request's id: both are 16 bytes, written with or without hyphens.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEADER = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    r"(?P<more>-.*)?"
)
LONGEST_STATE = 512
"""Characters of `tracestate` that are passed on; what is longer is left out whole."""
SAMPLED = "01"


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace, without its spans."""

    trace_id: str
    """32 hexadecimal digits."""
    flags: str = SAMPLED
    """Two hexadecimal digits."""
    state: str = ""
    """What the systems it came through want to be told again."""

    @classmethod
    def of_request(cls, request_id: str) -> Trace:
        """The trace that begins with a request. An id that is no UUID is hashed."""
        return cls(_hex_of(request_id, 16))

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> tuple[Trace, str] | None:
        """The trace and the parent's span id in headers; None if they hold no valid one.

        Names are compared without regard to case.
        """
        found = {name.lower(): value for name, value in headers.items()}
        match = _HEADER.fullmatch(found.get("traceparent", "").strip())
        if (
            match is None
            or match["version"] == "ff"
            or (match["version"] == "00" and match["more"])
        ):
            return None
        if not int(match["trace"], 16) or not int(match["span"], 16):
            return None
        state = found.get("tracestate", "").strip()
        if len(state) > LONGEST_STATE or not state.isprintable():
            state = ""
        sampled = int(match["flags"], 16) & 1  # other flags are for versions to come
        return cls(match["trace"], f"{sampled:02x}", state), match["span"]

    @property
    def request_id(self) -> str:
        """The request's id: the trace's in the form of a UUID."""
        return str(UUID(hex=self.trace_id))

    def header(self, context_id: str) -> str:
        """The value of `traceparent` for work asked for by a context."""
        return f"00-{self.trace_id}-{_hex_of(context_id, 8)}-{self.flags}"


def _hex_of(id_: str, size: int) -> str:
    """The last `size` bytes of a UUID, which are its random ones, else of a hash of the text."""
    try:
        digits = UUID(id_).hex
    except ValueError:
        digits = ""
    digits = digits[-2 * size :]
    return (
        digits
        if digits.strip("0")
        else blake2b(id_.encode(errors="surrogatepass"), digest_size=size).hexdigest()
    )
