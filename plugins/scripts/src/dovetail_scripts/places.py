"""Places for scripts: how many run, how many wait, and for how long."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from dovetail import ServiceError
from dovetail_scripts.errors import Place, ScriptBusy, ScriptFailed, ScriptTimeout
from dovetail_scripts.job import Stopped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dovetail_scripts.job import Order
    from dovetail_scripts.models import ScriptExecutionResult
    from dovetail_scripts.settings import ScriptSettings

DEEPEST = 3
"""How many scripts may lie within one another, by host functions that run scripts."""
_NOT_RUNNING = (
    "the script engine does not run: it does while the kernel is open whose config has "
    "[plugins.scripts]"
)
_depth: ContextVar[int] = ContextVar("dovetail_scripts_depth", default=0)


class Engine(Protocol):
    """What runs scripts. `run` and `check` raise `Stopped` once `stop` was called."""

    async def start(self) -> None:
        """Make ready."""

    async def stop(self) -> None:
        """End every script, process and thread."""

    async def run(self, order: Order) -> ScriptExecutionResult:
        """Run one; cancelled, end it and only then return."""

    async def check(self, order: Order) -> None:
        """Parse one, and raise `ScriptSyntaxError` if that cannot be done."""


class Places:
    """An engine, and who may use it now."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._free: list[asyncio.Semaphore] = []
        self._queue = 0
        self._waiting = 0

    async def open(self, engine: Engine, settings: ScriptSettings) -> None:
        """Start the engine and let scripts in."""
        # Scripts within scripts have places of their own, or they could wait for one another.
        self._free = [asyncio.Semaphore(settings.workers) for _ in range(DEEPEST)]
        self._queue = settings.queue
        self._engine = engine
        await engine.start()

    async def close(self) -> None:
        """Let no more in, and stop the engine with all that runs."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.stop()

    def engine(self) -> Engine:
        """The engine.

        Raises:
            ServiceError: it does not run.
        """
        if self._engine is None:
            raise ServiceError(_NOT_RUNNING)
        return self._engine

    async def run(self, order: Order) -> ScriptExecutionResult:
        """Run a script when there is a place."""
        async with self._place(order) as engine:
            return await engine.run(order)

    async def check(self, order: Order) -> None:
        """Parse a script when there is a place."""
        async with self._place(order) as engine:
            await engine.check(order)

    @asynccontextmanager
    async def _place(self, order: Order) -> AsyncIterator[Engine]:
        depth, where = _depth.get(), Place(order.name)
        if depth >= DEEPEST:
            raise ScriptFailed(f"it would be a script within {DEEPEST} scripts", where)
        token, clock = _depth.set(depth + 1), asyncio.timeout(order.limits.total)
        try:
            async with clock, self._turn(depth, where):
                yield self.engine()  # it may have been stopped meanwhile
        except Stopped as error:
            raise ServiceError(_NOT_RUNNING) from error
        except TimeoutError as error:
            if not clock.expired():
                raise
            message = f"it took more than {order.limits.total:g} s in all: see `total_limit`"
            raise ScriptTimeout(message, where) from error
        finally:
            _depth.reset(token)

    @asynccontextmanager
    async def _turn(self, depth: int, where: Place) -> AsyncIterator[None]:
        free = self._free[depth]
        if free.locked() and self._waiting >= self._queue:
            message = f"{self._waiting} scripts wait for a worker already: see `queue`"
            raise ScriptBusy(message, where)
        self._waiting += 1
        try:
            await free.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            free.release()
