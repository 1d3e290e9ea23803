"""One turn at a time for each session: a lock in the process, and the store's lease across them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from dovetail.errors import SessionBusy
from dovetail.ids import new_id

if TYPE_CHECKING:
    from dovetail.sessions.store import SessionStore

log = structlog.get_logger("dovetail")

LEASE_SECONDS = 30.0
"""A lease that is not renewed ends after this: how long a dead process blocks a session."""
POLL_SECONDS = (0.02, 1.0)
"""How often a lease that another process holds is asked for: first, and at most."""


class SessionLocks:
    """Locks by session id; one that nobody holds or waits for takes no memory."""

    def __init__(self, store: SessionStore, *, max_waiting: int, wait_timeout: float) -> None:
        self._store = store
        self._max_waiting = max_waiting
        self._wait_timeout = wait_timeout
        self._held: dict[str, _Held] = {}

    def acquire_free(self, session_id: str) -> bool:
        """Take the session's turn if nobody has it and no lease is needed: the usual case."""
        if self._store.leases or session_id in self._held:
            return False
        self._held[session_id] = _Held()
        return True

    async def acquire(self, session_id: str) -> None:
        """Wait for the session's turn; first come, first served in this process.

        Raises:
            SessionBusy: too many wait already, or it took too long.
        """
        held = self._held.get(session_id)
        if held is None:
            self._held[session_id] = held = _Held()
            if not self._store.leases:
                return
        else:
            await self._wait(session_id, held)
        if self._store.leases:
            try:
                async with asyncio.timeout(self._wait_timeout):
                    await self._take_lease(session_id, held)
            except TimeoutError:
                self._pass_on(session_id, held)
                raise SessionBusy(_busy(session_id, "another process holds it")) from None
            except BaseException:
                self._pass_on(session_id, held)
                raise

    async def release(self, session_id: str) -> None:
        """Let the next one have it; if this raises, `abandon` is owed."""
        held = self._held[session_id]
        if held.renewal is not None:
            held.renewal.cancel()
            held.renewal = None
            await self._store.release_lease(session_id, held.owner)
        self._pass_on(session_id, held)

    def abandon(self, session_id: str) -> None:
        """Let the next one of this process have it, whatever became of the lease."""
        held = self._held.get(session_id)
        if held is not None:
            if held.renewal is not None:
                held.renewal.cancel()
                held.renewal = None
            self._pass_on(session_id, held)

    async def _wait(self, session_id: str, held: _Held) -> None:
        if len(held.waiting) >= self._max_waiting:
            raise SessionBusy(_busy(session_id, f"{len(held.waiting)} turns wait for it already"))
        waiter = asyncio.get_running_loop().create_future()
        held.waiting.append(waiter)
        try:
            async with asyncio.timeout(self._wait_timeout):
                await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                self._pass_on(session_id, held)  # it was our turn just as we left
            else:
                held.waiting.remove(waiter)
            if isinstance(error, TimeoutError):
                why = f"it was not free within {self._wait_timeout:g} s"
                raise SessionBusy(_busy(session_id, why)) from None
            raise

    def _pass_on(self, session_id: str, held: _Held) -> None:
        for waiter in held.waiting:
            if not waiter.done():
                held.waiting.remove(waiter)
                waiter.set_result(None)
                return
        del self._held[session_id]

    async def _take_lease(self, session_id: str, held: _Held) -> None:
        held.owner = new_id()
        pause = POLL_SECONDS[0]
        while not await self._store.acquire_lease(session_id, held.owner, LEASE_SECONDS):
            await asyncio.sleep(pause)
            pause = min(pause * 2, POLL_SECONDS[1])
        held.renewal = asyncio.create_task(self._renew(session_id, held.owner))

    async def _renew(self, session_id: str, owner: str) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            try:
                if not await self._store.acquire_lease(session_id, owner, LEASE_SECONDS):
                    log.error("a session's lease was lost", session_id=session_id)
            except Exception:  # a store that is away for a moment: the next renewal may succeed
                log.exception("a session's lease could not be renewed", session_id=session_id)


class _Held:
    __slots__ = ("owner", "renewal", "waiting")

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[None]] = []
        self.owner = ""
        self.renewal: asyncio.Task[None] | None = None


def _busy(session_id: str, why: str) -> str:
    return f"session `{session_id}` is busy: {why}; try again, or use another session"
