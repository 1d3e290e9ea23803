"""A circuit breaker: an instance that keeps failing is left alone for a while.

Of our own, because those there are do not fit: pybreaker's coroutines need tornado, purgatory goes
by the wall clock, takes a cancel for a failure and lets any number of calls probe.
"""

import math
from collections import deque
from enum import StrEnum

from dovetail import AuthenticationError, InvalidRequest, ProviderError, RateLimited
from dovetail_resilience.settings import BreakerSettings


class Health(StrEnum):
    """What the end of a call says of the instance."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"
    """The caller went away, or something else than the instance broke."""


def health(error: BaseException | None) -> Health:
    """What `error`, or None for an answer, says of the instance that was asked."""
    if error is None:
        return Health.GOOD
    if not isinstance(error, ProviderError):
        return Health.UNKNOWN
    # Whoever says that the request, the key or the rate is wrong is there and answers.
    sound = isinstance(error, (InvalidRequest, AuthenticationError, RateLimited))
    return Health.GOOD if sound else Health.BAD


class Breaker:
    """The circuit of one instance: closed, open, or half-open while one call probes it."""

    __slots__ = ("_enough", "_failures", "_open_until", "_probing", "_reset", "_window", "last")

    def __init__(self, settings: BreakerSettings) -> None:
        self._enough = settings.failures or math.inf
        self._failures: deque[float] = deque(maxlen=settings.failures or 1)
        """When the latest failures in a row came."""
        self._window = settings.window
        self._reset = settings.reset
        self._open_until: float | None = None
        self._probing = False
        self.last = ""
        """What opened it, in words."""

    @property
    def closed(self) -> bool:
        """Whether every call may pass."""
        return self._open_until is None

    def refused_for(self, now: float) -> float | None:
        """Seconds after which to come again; None for a call that may pass."""
        if self._open_until is None:
            return None
        if now < self._open_until:
            return self._open_until - now
        return self._reset if self._probing else None

    def probe(self) -> None:
        """The one call that may pass begins; its end closes the circuit or opens it again."""
        self._probing = True

    def forgo(self) -> None:
        """The probe ended and says nothing: the next call probes."""
        self._probing = False

    def good(self, *, probe: bool) -> bool:
        """A call succeeded. True if that closes the circuit, which only the probe can."""
        if probe:
            self._probing = False
            self._open_until = None
        elif self._open_until is not None:
            return False  # it began before the circuit opened
        if self._failures:
            self._failures.clear()
        return probe

    def bad(self, now: float, error: BaseException, *, probe: bool) -> bool:
        """A call failed. True if that opens the circuit."""
        if self._open_until is None:
            failures = self._failures
            failures.append(now)
            if len(failures) < self._enough or now - failures[0] > self._window:
                return False
        elif not probe:
            return False
        self._probing = False
        self._open_until = now + self._reset
        self.last = f"{type(error).__name__}: {error}"
        return True
