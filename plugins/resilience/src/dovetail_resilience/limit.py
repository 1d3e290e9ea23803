"""A limit on calls at once and per minute, with waiting that ends."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from dovetail_resilience.window import Window

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dovetail_resilience.settings import LimitSettings
    from dovetail_resilience.window import Entry


class LimitReached(Exception):
    """A call cannot have its place in time."""


class Limit:
    """One limit and those who wait for it, first come, first served."""

    __slots__ = ("_requests", "_settings", "_slots", "_tokens", "_turnstile", "_wake", "waiting")

    def __init__(self, settings: LimitSettings) -> None:
        self._settings = settings
        concurrent, requests = settings.concurrent, settings.requests_per_minute
        self._slots = asyncio.Semaphore(concurrent) if concurrent else None
        self._requests = Window(requests) if requests else None
        self._tokens = Window(settings.tokens_per_minute) if settings.tokens_per_minute else None
        self._turnstile = asyncio.Lock()
        """Held by the first of those who wait for the minute to pass, the others behind it."""
        self._wake: asyncio.Future[None] | None = None
        self.waiting = 0
        """How many wait now."""

    @property
    def instance(self) -> str:
        """The instance it holds for; empty for all together."""
        return self._settings.instance.instance if self._settings.instance else ""

    @property
    def counts_tokens(self) -> bool:
        """Whether it must be told how many tokens a call takes."""
        return self._tokens is not None

    async def take_slot(self, until: float) -> bool:
        """Be one of the calls at the same time; True if it had to wait. `free_slot` is owed.

        `until` is the loop's time at which to give up, if its own wait is not over before.

        Raises:
            LimitReached: no place in time, or too many wait.
        """
        slots = self._slots
        if slots is None:
            return False
        if not slots.locked():
            await slots.acquire()
            return False
        async with self._queue("concurrent", until):
            await slots.acquire()
        return True

    def free_slot(self) -> None:
        """Let the next call in."""
        if self._slots is not None:
            self._slots.release()

    async def take_rate(self, tokens: int, until: float) -> tuple[Entry | None, str]:
        """Be counted in this minute; the entry of its tokens, and what it had to wait for.

        Raises:
            LimitReached: as `take_slot`.
        """
        if self._requests is None and self._tokens is None:
            return None, ""
        now = asyncio.get_running_loop().time()
        reason = ""
        if self._turnstile.locked() or self._pause(tokens, now):
            reason = self._tight(tokens, now)
            async with self._queue(reason, until), self._turnstile:
                while pause := self._pause(tokens, now := asyncio.get_running_loop().time()):
                    await self._sleep(pause)
                return self._enter(tokens, now), reason
        return self._enter(tokens, now), reason

    def correct(self, entry: Entry, by: int) -> None:
        """The call of `entry` took `by` more tokens, or less, than it said."""
        if self._tokens is not None:
            self._tokens.correct(entry, by, asyncio.get_running_loop().time())
            if by < 0 and self._wake is not None and not self._wake.done():
                self._wake.set_result(None)

    def _pause(self, tokens: int, now: float) -> float:
        pause = self._requests.pause(1, now) if self._requests is not None else 0.0
        return max(pause, self._tokens.pause(tokens, now)) if self._tokens is not None else pause

    def _tight(self, tokens: int, now: float) -> str:
        """The setting that makes a call wait."""
        if self._tokens is None or (self._requests is not None and self._requests.pause(1, now)):
            return "requests_per_minute"
        return "tokens_per_minute"

    def _enter(self, tokens: int, now: float) -> Entry | None:
        if self._requests is not None:
            self._requests.enter(1, now)
        return self._tokens.enter(tokens, now) if self._tokens is not None else None

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but not on when a call turns out to have taken less than was kept for it."""
        loop = asyncio.get_running_loop()
        self._wake = wake = loop.create_future()
        timer = loop.call_later(seconds, _set, wake)
        try:
            await wake
        finally:
            timer.cancel()
            self._wake = None

    @asynccontextmanager
    async def _queue(self, reason: str, until: float) -> AsyncIterator[None]:
        settings = self._settings
        if self.waiting >= settings.waiting:
            raise LimitReached(f"{self._name(reason)}, and {self.waiting} calls wait already")
        began = asyncio.get_running_loop().time()
        until = min(until, began + settings.wait)
        self.waiting += 1
        limit = asyncio.timeout_at(until)
        try:
            async with limit:
                yield
        except TimeoutError as error:
            if not limit.expired():
                raise
            waited = f"{until - began:.3g} s"
            raise LimitReached(f"{self._name(reason)}, also after {waited}") from error
        finally:
            self.waiting -= 1

    def _name(self, reason: str) -> str:
        whose = "this instance" if self.instance else "all instances together"
        return f"`{reason} = {getattr(self._settings, reason)}` for {whose} is reached"


def _set(wake: asyncio.Future[None]) -> None:
    if not wake.done():
        wake.set_result(None)
