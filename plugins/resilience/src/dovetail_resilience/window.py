"""Counting what went in during the last minute.

Not a leaky bucket (aiolimiter has a good one): its burst lets nearly twice the limit pass in a
minute, its small calls overtake the large ones for ever, and what was estimated cannot be corrected
afterwards.
"""

from collections import deque

MINUTE = 60.0
STEP = 1.0
"""Entries of so many seconds are counted together, so that a window holds few of them."""

LEAST = 0.001
"""The least to wait, so that rounding makes no loop of ever shorter waits."""


class Entry:
    """What went in within one step."""

    __slots__ = ("amount", "first", "gone", "last")

    def __init__(self, now: float) -> None:
        self.first = self.last = now
        self.amount = 0
        self.gone = False


class Window:
    """At most `limit` in any 60 seconds, by what it is told of."""

    __slots__ = ("_entries", "limit", "total")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.total = 0
        """What is in the window."""
        self._entries: deque[Entry] = deque()

    def pause(self, amount: int, now: float) -> float:
        """Seconds until `amount` fits, 0 if it does; more than the limit counts as the limit."""
        self._forget(now)
        excess = self.total + min(amount, self.limit) - self.limit
        if excess <= 0:
            return 0.0
        for entry in self._entries:
            excess -= entry.amount
            if excess <= 0:
                return max(entry.last + MINUTE - now, LEAST)
        return MINUTE

    def enter(self, amount: int, now: float) -> Entry:
        """Count `amount` in, whether it fits or not."""
        entries = self._entries
        if not entries or now - entries[-1].first >= STEP:
            entries.append(Entry(now))
        entry = entries[-1]
        entry.last = now
        entry.amount += amount
        self.total += amount
        return entry

    def correct(self, entry: Entry, by: int, now: float) -> None:
        """What went in with `entry` was `by` more, or less, than was said then."""
        if by > 0 and entry.gone:
            entry = self.enter(0, now)
        if not entry.gone:
            entry.amount += by
            self.total += by

    def _forget(self, now: float) -> None:
        entries = self._entries
        while entries and now - entries[0].last >= MINUTE:
            entry = entries.popleft()
            entry.gone = True
            self.total -= entry.amount
