"""An event loop on which, once told so, nobody waits: its clock jumps to whatever comes next."""

from __future__ import annotations

import asyncio
import math
import selectors
from typing import cast


class VirtualLoop(asyncio.SelectorEventLoop):
    """Keeps real time until it is told to jump: a kernel starts with the help of threads."""

    def __init__(self) -> None:
        self.now: float | None = None
        """The time while it jumps; else it passes by itself."""
        self._ahead = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        """The time in seconds: frozen, but for the jumps, while it jumps."""
        return super().time() + self._ahead if self.now is None else self.now

    def jump(self, *, on: bool) -> None:
        """Have nobody wait from now on: all that is slept for passes at once, in its order."""
        if on and self.now is None:
            # A whole second, so that what is added to it can be taken away again exactly.
            self.now = float(math.ceil(self.time()))
        elif not on and self.now is not None:
            self._ahead = self.now - super().time()
            self.now = None


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._loop.now is None or timeout is None or timeout <= 0:
            return super().select(timeout)
        events = super().select(0)
        if not events:
            self._loop.now += timeout
        return events


def loop() -> VirtualLoop:
    """The loop that runs the test."""
    return cast("VirtualLoop", asyncio.get_running_loop())


class Clock:
    """Seconds on the loop's clock since it was made."""

    def __init__(self) -> None:
        self._loop = loop()
        self._began = self._loop.time()

    @property
    def seconds(self) -> float:
        return self._loop.time() - self._began
