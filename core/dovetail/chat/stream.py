"""A stream: the window through which a host reads a turn as it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.chat.window import Window
from dovetail.errors import DovetailError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from dovetail.chat.chunks import StreamingChunk
    from dovetail.chat.responses import ChatResponse
    from dovetail.chat.runs import Run
    from dovetail.chat.turns import TurnTask

    Begin = Callable[[Window], tuple[Run, TurnTask, asyncio.Task[ChatResponse]]]


class ChatStream:
    """An async context manager and iterator of chunks.

    Leaving it before the answer is complete cancels the turn and waits until what came is kept; by
    then the connection to the provider is closed. A turn that was cancelled from elsewhere ends the
    stream normally, with the finish reason `cancelled`.
    """

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._window: Window | None = None
        self._run: Run | None = None
        self._turn: TurnTask | None = None
        self._task: asyncio.Task[ChatResponse] | None = None

    @property
    def begun(self) -> bool:
        """Whether it was entered."""
        return self._run is not None

    @property
    def run(self) -> Run:
        """The turn in flight; its `id` can be given to `cancel_session`."""
        if self._run is None:
            raise DovetailError(_NOT_ENTERED)
        return self._run

    @property
    def response(self) -> ChatResponse:
        """The whole answer, or what had come of it; known once the stream has ended."""
        if self._turn is None or self._turn.response is None:
            message = "the answer is still coming: read the stream to its end first"
            raise DovetailError(message)
        return self._turn.response

    def cancel(self) -> bool:
        """Stop the turn; its last chunks can still be read. Whether it could be stopped."""
        return self.run.cancel()

    async def __aenter__(self) -> Self:
        """Begin the turn."""
        if self._run is not None:
            message = "a stream is entered once; ask the kernel for another"
            raise DovetailError(message)
        self._window = Window()
        self._run, self._turn, self._task = self._begin(self._window)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Cancel the turn if it still runs, and wait for its end."""
        run = self.run
        if run.active:
            if not run.answered:
                run.cancel()
            if self._window is not None:
                self._window.close()  # nobody reads any more: let a full window pass
            await run.wait()

    def __aiter__(self) -> Self:
        """Itself: it is read once."""
        return self

    async def __anext__(self) -> StreamingChunk:
        """The next chunk; raises what went wrong with the turn once it is all read."""
        if self._window is None:
            raise DovetailError(_NOT_ENTERED)
        chunk = await self._window.take()
        if chunk is None:
            await self._finish()
            raise StopAsyncIteration
        return chunk

    async def take_all(self) -> list[StreamingChunk]:
        """All chunks that are there, at least one; empty at the end."""
        chunk = await anext(self, None)
        if chunk is None or self._window is None:
            return []
        return [chunk, *self._window.take_all()]

    async def _finish(self) -> None:
        await self.run.wait()
        if self._turn is not None and self._task is not None:
            self._turn.outcome(self._task)


_NOT_ENTERED = "enter the stream first: `async with kernel.stream(...) as stream:`"
