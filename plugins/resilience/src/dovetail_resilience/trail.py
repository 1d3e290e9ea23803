"""What was decided about one call: a log line each, and the notes in its metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from dovetail import ProviderError, redact

if TYPE_CHECKING:
    from dovetail import ChatCall, EmbedCall

log = structlog.get_logger("dovetail")

QUIET = frozenset({"circuit_half_open", "circuit_closed", "waited_for_limit"})
"""Decisions that are no sign of trouble now; the others are warnings."""

WORDS = {
    "attempts": "its `attempts` are used up",
    "total_attempts": "the call's `total_attempts` are used up",
    "budget": "the `budget` leaves no time",
    "longest_wait": "it asks for more than the `longest_wait`",
    "not_retryable": "asking again would not help",
    "circuit_open": "its circuit is open",
    "refused": "it was not to be asked",
    "limit": "a limit on all instances is reached",
}
"""Why a call was given up, in words."""


class Trail:
    """The decisions of one call."""

    __slots__ = ("_call", "attempts", "decisions", "tried", "waited")

    def __init__(self, call: ChatCall | EmbedCall) -> None:
        self._call = call
        self.attempts = 0
        """How many times a provider was asked."""
        self.tried: dict[str, int] = {}
        """How often each model was asked; 0 for one whose gate refused."""
        self.waited = 0.0
        """Seconds waited, for limits and before retries."""
        self.decisions: list[dict[str, Any]] = []

    def note(self, decision: str, **fields: Any) -> None:
        """Log a decision and keep it."""
        self.decisions.append({"decision": decision, **fields})
        write = log.info if decision in QUIET else log.warning
        write(f"resilience.{decision}", **fields, request_id=self._call.context.request_id)

    def failed(self, decision: str, error: ProviderError, **fields: Any) -> None:
        """Note a decision that `error` made necessary."""
        details = error.details
        known: dict[str, Any] = {"error": type(error).__name__, "message": redact(error.message)}
        if details.status is not None:
            known["status"] = details.status
        self.note(decision, **fields, **known)

    def waited_for(self, instance: str, limit: str, seconds: float) -> None:
        """Note that a call waited for its place."""
        self.waited += seconds
        self.note("waited_for_limit", provider=instance, limit=limit, wait_s=round(seconds, 3))

    def report(self) -> dict[str, Any]:
        """What goes into the metadata."""
        return {
            "attempts": self.attempts,
            "waited_s": round(self.waited, 3),
            "decisions": [dict(decision) for decision in self.decisions],
        }

    def summary(self, reason: str) -> str:
        """Why it was given up and how often each model was asked, in words."""
        asked = ", ".join(_times(name, count) for name, count in self.tried.items())
        return f"gave up, since {WORDS[reason]}, after asking {asked}"


def attach(error: BaseException, trail: Trail) -> None:
    """Give an error what an answer has in its metadata: `error.metadata["resilience"]`."""
    if isinstance(error, ProviderError):
        error.metadata["resilience"] = trail.report()


def link(error: BaseException, earlier: BaseException) -> None:
    """Have `error` lead to `earlier`, which came before it, behind its own causes."""
    known = _chain(earlier)
    own = _chain(error)
    # The same error may have been raised again, and a chain must not bite its tail.
    if not any(one is other for one in own for other in known):
        own[-1].__context__ = earlier


def _chain(error: BaseException) -> list[BaseException]:
    chain = [error]
    while (below := chain[-1].__cause__ or chain[-1].__context__) is not None:
        if any(below is known for known in chain):
            break
        chain.append(below)
    return chain


def _times(name: str, count: int) -> str:
    if count == 0:
        return f"`{name}` not asked"
    return f"`{name}` {'once' if count == 1 else f'{count} times'}"
