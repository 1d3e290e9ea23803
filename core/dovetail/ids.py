"""Ids that dovetail makes: UUIDs of version 7, which sort by the time they were made."""

import os
import time

AT_ONCE = 128
"""How many ids' noise is fetched at a time: asking the system costs more than all the rest."""

_noise: list[str] = []
_latest = (0, "")
"""The last millisecond in which an id was made, and what an id of that millisecond begins with."""

# A child process would make the same ids as its parent.
os.register_at_fork(after_in_child=_noise.clear)


def new_id() -> str:
    """A new UUID version 7 (RFC 9562, section 5.7) in its usual text form."""
    now = time.time_ns() // 1_000_000
    then, head = _latest
    if now != then:
        head = _begin(now)
    try:
        return head + _noise.pop()
    except IndexError:
        return head + _fetch()


def _begin(milliseconds: int) -> str:
    global _latest  # noqa: PLW0603 - replaced whole, so that no thread sees half of it
    text = f"{milliseconds & 0xFFFF_FFFF_FFFF:012x}"
    head = f"{text[:8]}-{text[8:]}-7"
    _latest = (milliseconds, head)
    return head


def _fetch() -> str:
    """Noise for many ids, each as the text that follows the version; one of them."""
    raw = os.urandom(10 * AT_ONCE).hex()
    made = []
    for start in range(0, len(raw), 20):
        variant = "89ab"[int(raw[start + 3], 16) & 3]
        low = f"{variant}{raw[start + 4 : start + 7]}-{raw[start + 7 : start + 19]}"
        made.append(f"{raw[start : start + 3]}-{low}")
    _noise.extend(made[1:])
    return made[0]
