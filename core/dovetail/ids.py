"""Ids that dovetail makes: UUIDs of version 7, which sort by the time they were made."""

import os
import time


def new_id() -> str:
    """A new UUID version 7 (RFC 9562, section 5.7) in its usual text form."""
    milliseconds = time.time_ns() // 1_000_000
    noise = int.from_bytes(os.urandom(10))
    high = (milliseconds & 0xFFFF_FFFF_FFFF) << 16 | 0x7000 | noise >> 68
    low = 1 << 63 | noise & 0x3FFF_FFFF_FFFF_FFFF
    first, last = f"{high:016x}", f"{low:016x}"
    return f"{first[:8]}-{first[8:12]}-{first[12:]}-{last[:4]}-{last[4:]}"
