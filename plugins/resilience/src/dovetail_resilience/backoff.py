"""How long to wait before a retry.

Ten lines of our own: tenacity and stamina cost 20 µs for a call that succeeds at once, more than
everything here together, and have no place for what a server asks for, for another model, or for
a stream whose first chunk was handed on.
"""

from random import random

JITTER = 0.1
"""What is added at most to a wait that a server asked for, as a share of it: others were told the
same."""


def backoff(retry: int, first: float, longest: float) -> float:
    """Seconds before retry number `retry` (from 1): exponential with full jitter.

    Anything between 0 and `first` doubled with each retry, at most `longest`.
    """
    # The exponent is bounded: beyond it any `first` has reached any `longest`.
    return random() * min(longest, first * 2.0 ** min(retry - 1, 60))  # noqa: S311 - no secret


def obeyed(asked: float, longest: float) -> float | None:
    """Seconds to wait where a server asked for `asked`; None if that is more than `longest`."""
    if asked > longest:
        return None
    return min(asked * (1 + JITTER * random()), longest)  # noqa: S311 - no secret
