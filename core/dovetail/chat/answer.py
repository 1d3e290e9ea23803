"""The answer to a call: complete, or its first chunk is here and the rest is coming."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from dovetail.chat.accumulator import StreamingAccumulator
from dovetail.chat.chunks import chunks_of
from dovetail.chat.messages import ChatMessage
from dovetail.chat.responses import ChatResponse, FinishReason
from dovetail.errors import DovetailError, ProviderError
from dovetail.redaction import redact

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from dovetail.chat.chunks import StreamingChunk
    from dovetail.context import ExecutionContext

    Change = Callable[[StreamingChunk], StreamingChunk | None]
    EndCallback = Callable[["End"], Awaitable[ChatResponse | None] | ChatResponse | None]

log = structlog.get_logger("dovetail")


@dataclass(slots=True)
class End:
    """How an answer ended."""

    response: ChatResponse
    """The whole answer, or what had come of it."""
    error: BaseException | None = None
    """None for a whole answer; a `CancelledError` if it was stopped."""


class Answer:
    """What `call_next` gives a middleware, and what a middleware returns.

    `metadata` is copied into the response's own when the answer ends.
    """

    __slots__ = (
        "_changes",
        "_ends",
        "_first",
        "_response",
        "_source",
        "accumulator",
        "context",
        "ended",
        "metadata",
        "model",
        "provider",
    )

    def __init__(
        self, *, provider: str = "", model: str = "", context: ExecutionContext | None = None
    ) -> None:
        self._source: AsyncIterator[StreamingChunk] | None = None
        self._first: StreamingChunk | None = None
        self._response: ChatResponse | None = None
        self._changes: list[Change] = []
        self._ends: list[EndCallback] = []
        self.accumulator: StreamingAccumulator | None = None
        self.provider = provider
        self.model = model
        self.context = context
        """Where the request's id is asked for, if somebody made one."""
        self.metadata: dict[str, Any] = {}
        self.ended = False
        """Whether `on_end` was told."""

    @classmethod
    def of(
        cls,
        response: ChatResponse | str,
        *,
        provider: str = "",
        model: str = "",
        context: ExecutionContext | None = None,
    ) -> Answer:
        """A complete answer, such as one from a cache."""
        if isinstance(response, str):
            response = ChatResponse(message=ChatMessage.assistant(response))
        answer = cls(provider=provider, model=model, context=context)
        answer._response = response
        return answer

    @classmethod
    async def begin(
        cls,
        source: AsyncIterator[StreamingChunk],
        *,
        provider: str = "",
        model: str = "",
        context: ExecutionContext | None = None,
    ) -> Answer:
        """An answer whose chunks come from `source`; returns when the first is there.

        What `source` raises before that is raised here, as a `ProviderError` if it is none of ours.
        """
        answer = cls(provider=provider, model=model, context=context)
        answer._source = source
        try:
            answer._first = await source.__anext__()
        except StopAsyncIteration:
            answer._response = StreamingAccumulator().response(provider=provider, model=model)
            answer._source = None
        except BaseException as error:
            await _close(source)
            failure = as_provider_error(error, provider, model)
            if failure is error:
                raise
            raise failure from error
        return answer

    def each(self, change: Change) -> None:
        """Pass every chunk through `change`, which returns it, another, or None to drop it."""
        self._changes.append(change)

    def on_end(self, callback: EndCallback) -> None:
        """Call `callback` with the `End`, after all that asked before.

        It may return another response to be kept and given to the host in place of this one;
        chunks that a stream has handed on stay as they were. A `DovetailError` that it raises
        fails a whole answer; anything else it raises is a mistake in its book-keeping, and logged.
        """
        self._ends.append(callback)

    @property
    def complete(self) -> bool:
        """Whether the whole answer is known: always so without streaming, else after the end."""
        return self._response is not None

    @property
    def response(self) -> ChatResponse:
        """The answer; after an error or a cancel what had come of it. Known once `complete`."""
        if self._response is None:
            message = "the answer is still coming: read its chunks to the end first"
            raise DovetailError(message)
        return self._response

    async def read(self) -> ChatResponse:
        """Read to the end and give the whole answer; the same as `chunks`, but cheaper."""
        if self._source is None and not self._changes:
            await self._end(None)
            return self.response
        self.accumulator = StreamingAccumulator()
        take = self._take
        try:
            if self._first is not None:
                take(self._first)
            async for chunk in self._chunks_in():
                take(chunk)
        except BaseException as error:
            await self._broken(error)
            raise
        await self._end(None)
        return self.response

    async def chunks(self) -> AsyncGenerator[StreamingChunk]:
        """The chunks, changed as asked; once. The reader must `aclose()` if it stops early."""
        self.accumulator = StreamingAccumulator()
        take = self._take
        try:
            if self._first is not None and (changed := take(self._first)) is not None:
                yield changed
            async for chunk in self._chunks_in():
                if (changed := take(chunk)) is not None:
                    yield changed
        except BaseException as error:
            await self._broken(error)
            raise
        await self._end(None)

    async def aclose(self) -> None:
        """Give up an answer that nobody reads: closes what it comes from and tells `on_end`."""
        try:
            if self._source is not None:
                await _close(self._source)
        finally:
            if not self.ended:
                await self._end(asyncio.CancelledError("nobody reads it"))

    def _chunks_in(self) -> AsyncIterator[StreamingChunk]:
        return self._source if self._source is not None else _replay(self.response)

    def _take(self, chunk: StreamingChunk) -> StreamingChunk | None:
        """Change a chunk as asked and count it in; None if it was dropped."""
        for change in self._changes:
            changed = change(chunk)
            if changed is None:
                return None
            chunk = changed
        if self.accumulator is not None:
            self.accumulator.add(chunk)
        return chunk

    async def _broken(self, error: BaseException) -> None:
        """Close what the chunks come from and tell `on_end`; raises if it is not `error` itself."""
        failure = as_provider_error(error, self.provider, self.model)
        if self._source is not None:
            await _close(self._source)
        await self._end(failure)
        if failure is not error:
            raise failure from error

    async def _end(self, given: BaseException | None) -> None:
        """Settle the response and tell `on_end`, also if this is cancelled meanwhile.

        Raises what ended a whole answer after all: its pieces make no sense, a callback refused it,
        or a cancel.
        """
        self.ended = True
        error: BaseException | None = given
        if isinstance(given, GeneratorExit):
            error = asyncio.CancelledError("the reader went away")
        try:
            self._response = self._settled(error)
        except DovetailError as senseless:
            error = senseless
            self._response = self._settled(error)
        callbacks, self._ends = self._ends, []
        for callback in callbacks:
            try:
                changed = callback(End(self.response, error))
                if changed is not None and not isinstance(changed, ChatResponse):
                    changed = await changed
            except (DovetailError, asyncio.CancelledError) as refusal:
                error = error or refusal
            except Exception:
                # One plugin's book-keeping must not take the answer from everybody else.
                log.exception("an on_end callback failed", callback=repr(callback))
            else:
                if changed is not None:
                    self._response = changed
        if error is not None and given is None:
            raise error

    def _settled(self, error: BaseException | None) -> ChatResponse:
        """The response with what is known besides: who answered what request, and notes."""
        response = self._accumulated(error)
        made: dict[str, Any] = {}
        if self.metadata:
            made["metadata"] = {**response.metadata, **self.metadata}
        if self.provider and not response.provider:
            made["provider"] = self.provider
        request_id = self._request_id()
        if request_id and not response.request_id:
            made["request_id"] = request_id
        return response.model_copy(update=made) if made else response

    def _accumulated(self, error: BaseException | None) -> ChatResponse:
        accumulator, provider, model = self.accumulator, self.provider, self.model
        if accumulator is None:
            if self._response is not None:
                return self._response
            accumulator = StreamingAccumulator()
            if self._first is not None:
                accumulator.add(self._first)
        request_id = self._request_id()
        if error is not None:
            return accumulator.partial(
                _reason(error), provider=provider, model=model, request_id=request_id
            )
        made = accumulator.response(provider=provider, model=model, request_id=request_id)
        whole = self._response
        if whole is None:
            return made
        # A whole answer went through `each`: what chunks do not carry stays as it was.
        said = {"message": made.message, "finish_reason": made.finish_reason}
        return whole.model_copy(update=said)

    def _request_id(self) -> str:
        context = self.context
        return context.request_id if context is not None and context.has_request_id else ""


def as_provider_error(error: BaseException, provider: str, model: str) -> BaseException:
    """What to raise for something that came out of a provider.

    Our own errors and a cancel that was asked for stay themselves; anything else, also a
    `CancelledError` that nobody asked for, becomes a `ProviderError`.
    """
    if isinstance(error, ProviderError):
        error.complete(provider=provider, model=model)
        return error
    if isinstance(error, (DovetailError, GeneratorExit, KeyboardInterrupt)):
        return error
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        if task is None or task.cancelling():
            return error
        return ProviderError("it cancelled itself", provider=provider, model=model)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return ProviderError(f"it failed with {redact(what)}", provider=provider, model=model)


def _reason(error: BaseException) -> FinishReason:
    stopped = isinstance(error, (asyncio.CancelledError, GeneratorExit))
    return FinishReason.CANCELLED if stopped else FinishReason.ERROR


async def _replay(response: ChatResponse) -> AsyncGenerator[StreamingChunk]:
    for chunk in chunks_of(response):
        yield chunk


async def _close(source: AsyncIterator[StreamingChunk]) -> None:
    """Close what the chunks come from; an iterator that is no generator may have no `aclose`."""
    aclose = getattr(source, "aclose", None)
    if aclose is not None:
        await aclose()
