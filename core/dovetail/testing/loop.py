"""An event loop on which no plugin can hold a test run for ever.

What swallows every cancellation cannot be ended: a test that waits for it, or the end of the loop,
which waits for whatever is left, would never come back. This loop goes away instead, and says so.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator

if sys.platform == "win32":
    _Base = asyncio.ProactorEventLoop
else:
    _Base = asyncio.SelectorEventLoop

GRACE_SECONDS = 5.0
"""How long what is over its time may take to end once it is cancelled."""
LONGEST_SECONDS = 300.0
"""How long one test or fixture may take in all, where nothing in it has a limit of its own."""
END_SECONDS = 2.0
"""How long what was cancelled at the end of the loop may take, and all else after it was left."""
MEND = (
    "what was cancelled goes on: let `CancelledError` through (`except Exception` does, a bare "
    "`except` and `except CancelledError: pass` do not)"
)


class BoundedLoop(_Base):
    """Leaves what does not end, and fails for it."""

    def __init__(self) -> None:
        super().__init__()
        self._left = ""
        """Why it was left; empty while all is well."""
        self._leaving = False

    def run_until_complete(self, future: Generator[Any, None, Any] | Awaitable[Any]) -> Any:
        """As every loop's, but it raises `AssertionError` where that would wait for ever."""
        # A bare future is how the end of the loop waits for all tasks, which it has cancelled.
        ending = asyncio.isfuture(future) and not isinstance(future, asyncio.Task)
        self._leaving = False
        seconds = END_SECONDS if ending or self._left else LONGEST_SECONDS
        limit = self.call_later(seconds, self.leave, "")
        try:
            return super().run_until_complete(future)
        except RuntimeError:
            if not self._leaving:
                raise
            if not ending:
                raise AssertionError(self._left) from None
            # An error here would keep anyio from making another loop for the next test.
            sys.stderr.write(f"{self._left}\n")
            self._kill()
            return None
        finally:
            limit.cancel()

    def leave(self, what: str) -> None:
        """Stop waiting for what runs; `what` says what did not come."""
        tasks = ", ".join(sorted(str(task.get_coro()) for task in asyncio.all_tasks(self)))
        self._left = f"{what or f'these do not end: {tasks}'}; {MEND}"
        self._leaving = True
        self.stop()

    def _kill(self) -> None:
        """End the tasks that are left by ending their coroutines below them."""
        left = asyncio.all_tasks(self)
        for task in left:
            with suppress(Exception):  # whatever it says: it had its chance
                coroutine = task.get_coro()
                if coroutine is not None:
                    coroutine.close()
            task.cancel()  # to have it notice
        if left:
            super().run_until_complete(asyncio.wait(left, timeout=END_SECONDS))
