"""One turn at a time for each session: a lock in the process, and the store's lease across them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

import structlog

from dovetail.errors import SessionBusy
from dovetail.ids import new_id

if TYPE_CHECKING:
    from dovetail.sessions.store import SessionStore

log = structlog.get_logger("dovetail")

Key: TypeAlias = "tuple[str | None, str]"
"""A user and a session of theirs."""

LEASE_SECONDS = 30.0
"""A lease that is not renewed ends after this: how long a dead process blocks a session."""
DROP_SECONDS = 5.0
"""How long giving a lease back may take."""
POLL_SECONDS = (0.02, 1.0)
"""How often a lease that another process holds is asked for: first, and at most."""


class SessionLocks:
    """Locks by user and session; one that nobody holds or waits for takes no memory.

    The user is part of the key: who asks for another's session must not make its owner wait.
    """

    def __init__(self, store: SessionStore, *, max_waiting: int, wait_timeout: float) -> None:
        self._store = store
        self._max_waiting = max_waiting
        self._wait_timeout = wait_timeout
        self._owner = new_id()
        """Of its leases: one that could not be given back is its own the next time."""
        self._held: dict[Key, _Held] = {}
        self._dropping: dict[Key, asyncio.Task[None]] = {}

    def acquire_free(self, key: Key) -> bool:
        """Take the session's turn if nobody has it and no lease is needed: the usual case."""
        if self._store.leases or key in self._held:
            return False
        self._held[key] = _Held()
        return True

    async def acquire(self, key: Key) -> None:
        """Wait for the session's turn; first come, first served in this process.

        Raises:
            SessionBusy: too many wait already, or it took too long.
        """
        held = self._held.get(key)
        if held is None:
            self._held[key] = held = _Held()
        else:
            await self._wait(key, held)
        if not self._store.leases or held.renewal is not None:
            return  # no lease, or the turn before left it to this one
        limit = asyncio.timeout(self._wait_timeout)
        asked = False
        try:
            async with limit:
                if (dropping := self._dropping.get(key)) is not None:
                    await asyncio.wait([dropping])
                asked = True
                await self._take_lease(key, held)
        except BaseException as error:
            self.release(key, granted=asked)  # it may have been, just as this was broken off
            if isinstance(error, TimeoutError) and limit.expired():  # else it is the store's own
                raise SessionBusy(_busy(key, "another process holds it")) from None
            raise

    def release(self, key: Key, *, granted: bool = False) -> None:
        """Let the next one have it, with the lease; if nobody waits, give the lease back.

        That happens in the background: a store that is away must not keep the session.
        """
        held = self._held[key]
        for waiter in held.waiting:
            if not waiter.done():
                held.waiting.remove(waiter)
                waiter.set_result(None)
                return
        del self._held[key]
        if held.renewal is not None or granted:
            if held.renewal is not None:
                held.renewal.cancel()
            self._dropping[key] = task = asyncio.create_task(self._give_back(key))
            task.add_done_callback(lambda _: self._dropping.pop(key))

    async def close(self) -> None:
        """Wait for the leases that are being given back; each has a limit."""
        if self._dropping:
            await asyncio.wait([*self._dropping.values()])

    async def _wait(self, key: Key, held: _Held) -> None:
        if len(held.waiting) >= self._max_waiting:
            raise SessionBusy(_busy(key, f"{len(held.waiting)} turns wait for it already"))
        waiter = asyncio.get_running_loop().create_future()
        held.waiting.append(waiter)
        try:
            async with asyncio.timeout(self._wait_timeout):
                await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                self.release(key)  # it was our turn just as we left
            else:
                held.waiting.remove(waiter)
            if isinstance(error, TimeoutError):
                why = f"it was not free within {self._wait_timeout:g} s"
                raise SessionBusy(_busy(key, why)) from None
            raise

    async def _take_lease(self, key: Key, held: _Held) -> None:
        pause = POLL_SECONDS[0]
        while not await self._store.acquire_lease(_lease(key), self._owner, LEASE_SECONDS):
            await asyncio.sleep(pause)
            pause = min(pause * 2, POLL_SECONDS[1])
        held.renewal = asyncio.create_task(self._renew(key))

    async def _renew(self, key: Key) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            try:
                if not await self._store.acquire_lease(_lease(key), self._owner, LEASE_SECONDS):
                    log.error("a session's lease was lost", session_id=key[1])
            except Exception:  # a store that is away for a moment: the next renewal may succeed
                log.exception("a session's lease could not be renewed", session_id=key[1])

    async def _give_back(self, key: Key) -> None:
        try:
            async with asyncio.timeout(DROP_SECONDS):
                await self._store.release_lease(_lease(key), self._owner)
        except Exception:  # a store that is away: the lease ends by itself
            log.warning("a session's lease could not be given back", exc_info=True)


class _Held:
    __slots__ = ("renewal", "waiting")

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[None]] = []
        self.renewal: asyncio.Task[None] | None = None


def _lease(key: Key) -> str:
    """What the store knows the turn by: no two are the same, whatever slashes the names hold."""
    user_id, session_id = key
    first = session_id if user_id is None else user_id
    if "%" in first or "/" in first:
        first = first.replace("%", "%25").replace("/", "%2F")
    return first if user_id is None else f"{first}/{session_id}"


def _busy(key: Key, why: str) -> str:
    return f"session `{key[1]}` is busy: {why}; try again, or use another session"
