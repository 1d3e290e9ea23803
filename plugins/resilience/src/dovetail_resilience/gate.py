"""The gate in front of one provider instance: its circuit and its limits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dovetail import ProviderError, ProviderUnavailable, RateLimited
from dovetail_resilience.breaker import Breaker, Health, health
from dovetail_resilience.limit import LimitReached

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail import Usage
    from dovetail_resilience.limit import Limit
    from dovetail_resilience.settings import BreakerSettings
    from dovetail_resilience.trail import Trail
    from dovetail_resilience.window import Entry


class Refused(Exception):
    """The gate lets a call not through; `error` says why to whoever asked."""

    def __init__(self, error: ProviderError, *, everywhere: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.everywhere = everywhere
        """Whether another instance would be refused for the same reason."""


class Gate:
    """Lets calls through to one instance, or says why not."""

    __slots__ = ("_limits", "breaker", "counts_tokens", "instance")

    def __init__(self, instance: str, breaker: BreakerSettings, limits: Sequence[Limit]) -> None:
        self.instance = instance
        self.breaker = Breaker(breaker)
        # Its own limits first: what waits for its instance must not keep others from theirs.
        fitting = [limit for limit in limits if limit.instance in {instance, ""}]
        self._limits = sorted(fitting, key=lambda limit: not limit.instance)
        self.counts_tokens = any(limit.counts_tokens for limit in self._limits)

    async def admit(self, trail: Trail, tokens: int, until: float) -> Lease:
        """Wait for a place; the lease is to be left when the call has ended.

        `tokens` is how many the call may take; `until` the loop's time at which to give up.

        Raises:
            Refused: the circuit is open, or a limit leaves no place in time.
        """
        lease = Lease(self, trail)
        if not self.breaker.closed:
            self._check_circuit(trail)
        try:
            if self._limits:
                await self._take(lease, tokens, until)
            if not self.breaker.closed:
                self._check_circuit(trail)  # it may have opened while this call waited
        except BaseException:
            lease.give_back(0)
            raise
        if not self.breaker.closed:
            self.breaker.probe()
            lease.probe = True
            trail.note("circuit_half_open", provider=self.instance)
        return lease

    def open_for(self) -> float | None:
        """Seconds for which its circuit lets nobody through; None if it does."""
        if self.breaker.closed:
            return None
        return self.breaker.refused_for(asyncio.get_running_loop().time())

    def _check_circuit(self, trail: Trail) -> None:
        seconds = self.open_for()
        if seconds is None:
            return
        trail.note("circuit_refused", provider=self.instance, retry_after_s=round(seconds, 3))
        raise Refused(
            ProviderUnavailable(
                f"it was not asked, because its circuit is open after failures (the last: "
                f"{self.breaker.last}); it is tried again in {seconds:.3g} s",
                provider=self.instance,
                retry_after=seconds,
            )
        )

    async def _take(self, lease: Lease, tokens: int, until: float) -> None:
        # Slots before rates: what is counted in this minute must be sent in it.
        lease.tokens = tokens
        clock = asyncio.get_running_loop().time
        for limit in self._limits:
            began = clock()
            try:
                if await limit.take_slot(until):
                    lease.trail.waited_for(self.instance, "concurrent", clock() - began)
            except LimitReached as reached:
                raise self._full(lease.trail, limit, reached) from reached
            lease.slots.append(limit)
        for limit in self._limits:
            began = clock()
            try:
                entry, reason = await limit.take_rate(tokens, until)
            except LimitReached as reached:
                raise self._full(lease.trail, limit, reached) from reached
            if reason:
                lease.trail.waited_for(self.instance, reason, clock() - began)
            if entry is not None:
                lease.entries.append((limit, entry))

    def _full(self, trail: Trail, limit: Limit, reached: LimitReached) -> Refused:
        trail.note("limit_refused", provider=self.instance, reason=str(reached))
        error = RateLimited(
            f"it was not asked, because {reached}; raise it or `wait` in the middleware's `limits`",
            provider=self.instance,
        )
        return Refused(error, everywhere=not limit.instance)


class Lease:
    """A call's place behind the gate, until the call has ended."""

    __slots__ = (
        "_answering",
        "_left",
        "entries",
        "gate",
        "handed_on",
        "probe",
        "slots",
        "tokens",
        "trail",
    )

    def __init__(self, gate: Gate, trail: Trail) -> None:
        self.gate = gate
        self.trail = trail
        self.probe = False
        """Whether the call finds out if an open circuit may close."""
        self.slots: list[Limit] = []
        self.entries: list[tuple[Limit, Entry]] = []
        self.tokens = 0
        """How many were counted for it."""
        self.handed_on = False
        """Whether the answer is out of the middleware's hands."""
        self._answering = False
        self._left = False

    def answering(self) -> None:
        """The first chunk is there: what was a probe has found out."""
        self._answering = True
        if self.probe:
            self._good()

    def leave(self, error: BaseException | None, usage: Usage | None) -> None:
        """The call ended, with an answer or with `error`; only the first time counts."""
        if self._left:
            return
        self._left = True
        what = health(error)
        breaker = self.gate.breaker
        if what is Health.GOOD:
            self._good()
        elif what is Health.UNKNOWN or error is None:
            if self.probe:
                breaker.forgo()
        elif breaker.bad(asyncio.get_running_loop().time(), error, probe=self.probe):
            self.trail.note(
                "circuit_opened", provider=self.gate.instance, error=type(error).__name__
            )
        if self.slots:
            self.give_back(self._taken(error, usage))

    def give_back(self, tokens: int) -> None:
        """Let others have its place; `tokens` is how many it took after all."""
        slots, self.slots = self.slots, []
        for limit in slots:
            limit.free_slot()
        entries, self.entries = self.entries, []
        for limit, entry in entries:
            limit.correct(entry, tokens - self.tokens)

    def _good(self) -> None:
        if self.gate.breaker.good(probe=self.probe):
            self.trail.note("circuit_closed", provider=self.gate.instance)
        self.probe = False

    def _taken(self, error: BaseException | None, usage: Usage | None) -> int:
        """The tokens it took: by its usage, none if it was turned away, else as estimated."""
        if usage is not None:
            if usage.total_tokens is not None:
                return usage.total_tokens
            if usage.prompt_tokens is not None:
                return usage.prompt_tokens + (usage.completion_tokens or 0)
        turned_away = isinstance(error, ProviderError) and not self._answering
        return 0 if turned_away else self.tokens
