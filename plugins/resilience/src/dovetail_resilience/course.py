"""The course of one call: its attempts at one model after the other, until one answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dovetail import (
    ChatCall,
    ContentFiltered,
    ContextTooLong,
    EmbedCall,
    InvalidRequest,
    ProviderError,
    ProviderTimeout,
)
from dovetail_resilience.backoff import backoff, obeyed
from dovetail_resilience.gate import Refused
from dovetail_resilience.trail import Trail, attach, link

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from dovetail import SoftRef
    from dovetail_resilience.gate import Gate, Lease
    from dovetail_resilience.hold import Hold
    from dovetail_resilience.settings import ResilienceSettings

CallT = TypeVar("CallT", ChatCall, EmbedCall)
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every call."""

    settings: ResilienceSettings
    hold: Hold
    gate: Callable[[str], Gate]
    """The gate in front of an instance."""


class Course(Generic[CallT, ResultT]):
    """One call; `run` gives its result. Subclasses say how one attempt is made."""

    __slots__ = (
        "_call",
        "_call_next",
        "_deadline",
        "_fallback",
        "_last",
        "_place",
        "_provider",
        "_request",
        "_rules",
        "_trail",
        "_tries",
    )

    def __init__(
        self,
        rules: Rules,
        fallback: Sequence[SoftRef[Any]],
        call: CallT,
        call_next: Callable[[CallT], Awaitable[ResultT]],
    ) -> None:
        self._rules = rules
        self._fallback = fallback
        self._call: CallT = call
        self._call_next: Callable[[CallT], Awaitable[ResultT]] = call_next
        # A middleware further in may change the call it is given; these stay.
        self._provider = call.provider
        self._request: Any = call.request  # of the type that goes with CallT's
        self._deadline = asyncio.get_running_loop().time() + rules.settings.budget
        self._trail = Trail(call)
        self._tries = 0
        """Attempts at the model that is being asked."""
        self._place = 0
        """How many of the fallbacks have been turned to, or passed over."""
        self._last: ProviderError | None = None
        """What the latest attempt at this model raised."""

    async def run(self) -> ResultT:
        """The result of the first attempt that succeeds.

        Raises:
            ProviderError: the last attempt's; its `metadata["resilience"]` says what was decided.
        """
        earlier: ProviderError | None = None
        while True:
            try:
                return await self._attempt()
            except Refused as refusal:
                # What an attempt raised says more than that there will be no other.
                failure = self._last or refusal.error
                reason = "limit" if refusal.everywhere else "refused"
            except ProviderError as error:
                failure = self._last = error
                reason = ""
            if earlier is not None:
                link(failure, earlier)
            earlier = failure
            reason = await self._go_on(failure, reason)
            if reason:
                try:
                    return await self._give_up(failure, reason)
                finally:
                    # An error leads to this frame, which must not lead back to it.
                    del failure, earlier
                    self._last = None

    async def _attempt(self) -> ResultT:
        trail, call = self._trail, self._call
        if trail.tried:
            call = replace(call, provider=self._provider, request=self._request)
        name = _name(self._provider, self._request.model)
        trail.tried.setdefault(name, 0)
        gate = self._rules.gate(self._provider)
        tokens = self._tokens(call) if gate.counts_tokens else 0
        lease = await gate.admit(trail, tokens, self._deadline)
        self._tries += 1
        trail.attempts += 1
        trail.tried[name] += 1
        limit = asyncio.timeout_at(self._deadline)
        try:
            async with limit:
                result = await self._ask(call, lease)
        except BaseException as error:
            if isinstance(error, TimeoutError) and limit.expired():
                failure = ProviderTimeout(
                    f"no answer within the `budget` of {self._rules.settings.budget:g} s",
                    provider=self._provider,
                    model=self._request.model,
                    may_retry=False,
                )
                lease.leave(failure, None)
                raise failure from error
            lease.leave(error, None)
            raise
        lease.handed_on = True
        return result

    async def _ask(self, call: CallT, lease: Lease) -> ResultT:
        """One attempt."""
        raise AssertionError("a subclass says how")

    def _tokens(self, call: CallT) -> int:
        """How many tokens an attempt may take."""
        raise AssertionError("a subclass says how")

    async def _give_up(self, error: ProviderError, reason: str) -> ResultT:
        """Raise `error`, or hand on what came before it."""
        trail = self._trail
        if trail.decisions or error.details.may_retry:
            trail.failed("gave_up", error, provider=self._provider, reason=reason)
            attach(error, trail)
        if trail.attempts > 1 or len(trail.tried) > 1:
            error.message += f"; {trail.summary(reason)}"
        raise error

    async def _go_on(self, error: ProviderError, refused: str) -> str:
        """Wait for the next attempt or turn to the next model; why neither, if neither."""
        settings, trail = self._rules.settings, self._trail
        wait, reason = (None, refused) if refused else self._wait(error)
        if wait is not None:
            name = self._request.model
            trail.failed(
                "retry",
                error,
                provider=self._provider,
                model=name,
                attempt=self._tries,
                reason=reason,
                wait_s=round(wait, 3),
            )
            trail.waited += wait
            await asyncio.sleep(wait)
            return ""
        if isinstance(error, InvalidRequest) or refused == "limit":
            return reason  # it would be no better elsewhere
        if asyncio.get_running_loop().time() >= self._deadline:
            return "budget"
        if trail.attempts >= settings.total_attempts:
            return "total_attempts"
        return "" if self._turn_to_next(error, reason) else reason

    def _wait(self, error: ProviderError) -> tuple[float | None, str]:
        """Seconds to wait before this model is asked again, and why; None if it is not."""
        settings, asked = self._rules.settings, error.details.retry_after
        if final := self._final(error):
            return None, final
        if asked:
            reason, wait = "retry_after", obeyed(asked, settings.longest_wait)
            if wait is None:
                return None, "longest_wait"
        else:
            reason = "backoff"
            wait = backoff(self._tries, settings.first_wait, settings.longest_wait)
        if asyncio.get_running_loop().time() + wait >= self._deadline:
            return None, "budget"
        return wait, reason

    def _final(self, error: ProviderError) -> str:
        """Why this model is not asked again, however long one waits; empty if it may be."""
        settings = self._rules.settings
        # Whatever a server says of these two, they will not fit or please it a second time.
        if not error.details.may_retry or isinstance(error, (ContextTooLong, ContentFiltered)):
            return "not_retryable"
        if self._tries >= settings.attempts:
            return "attempts"
        # Each fallback that is left has an attempt kept for it.
        if self._trail.attempts + len(self._fallback) - self._place >= settings.total_attempts:
            return "total_attempts"
        return "circuit_open" if self._rules.gate(self._provider).open_for() is not None else ""

    def _turn_to_next(self, error: ProviderError, reason: str) -> bool:
        """Let the next attempt be at the next model that was not asked; False if there is none."""
        while self._place < len(self._fallback):
            ref = self._fallback[self._place]
            self._place += 1
            if not ref.available or _name(ref.instance, ref.model) in self._trail.tried:
                continue
            fields = {"provider": self._provider, "model": self._request.model, "to": str(ref)}
            if reason == "refused":  # the decision before this one says why
                self._trail.note("fallback", **fields, reason=reason)
            else:
                self._trail.failed("fallback", error, **fields, reason=reason)
            self._provider = ref.instance
            self._request = self._request.model_copy(update={"model": ref.model})
            self._tries = 0
            self._last = None
            return True
        return False


def _name(instance: str, model: str) -> str:
    return f"{instance}/{model}" if model else instance
