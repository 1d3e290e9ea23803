"""The answer to a call: complete, or its first chunk is here and the rest is coming."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import structlog

from dovetail.chat.accumulator import StreamingAccumulator
from dovetail.chat.chunks import chunks_of
from dovetail.chat.frozen import freeze
from dovetail.chat.messages import ChatMessage
from dovetail.chat.responses import ChatResponse, FinishReason
from dovetail.errors import DovetailError, InvalidResponse, ProviderError
from dovetail.host.records import describe
from dovetail.redaction import scrub

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable

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
        "secrets",
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
        self.secrets: frozenset[str] = frozenset()
        """Text that an error must not show, should the provider put it there."""
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
        source: AsyncIterable[StreamingChunk],
        *,
        provider: str = "",
        model: str = "",
        context: ExecutionContext | None = None,
        secrets: frozenset[str] = frozenset(),
    ) -> Answer:
        """An answer whose chunks come from `source`; returns when the first is there.

        What `source` raises before that is raised here, as a `ProviderError` if it is none of ours.
        """
        answer = cls(provider=provider, model=model, context=context)
        answer.secrets = secrets
        try:
            answer._source = aiter(source)
            answer._first = await answer._source.__anext__()
        except StopAsyncIteration:
            answer._response = StreamingAccumulator().response(provider=provider, model=model)
            answer._source = None
        except BaseException as error:
            if answer._source is not None:
                await _close(answer._source)
            failure = as_provider_error(error, provider, model, secrets)
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

    def so_far(self, reason: FinishReason) -> ChatResponse:
        """The response if it is known, else what has come of it until now, ended by `reason`."""
        return self._response if self._response is not None else self._cut(reason)

    def _cut(self, reason: FinishReason) -> ChatResponse:
        accumulator = self.accumulator
        if accumulator is None:
            accumulator = StreamingAccumulator()
            if self._first is not None:
                accumulator.add(self._first)
        try:
            return accumulator.partial(
                reason, provider=self.provider, model=self.model, request_id=self._request_id()
            )
        except Exception:
            # Its chunks hold what they must not; the error that says so is raised elsewhere.
            log.debug("what came of an answer makes no sense", exc_info=True)
            return StreamingAccumulator().response(finish=reason, provider=self.provider)

    async def _broken(self, error: BaseException) -> None:
        """Close what the chunks come from and tell `on_end`; raises if it is not `error` itself."""
        failure = as_provider_error(error, self.provider, self.model, self.secrets)
        try:
            if self._source is not None:
                await _close(self._source)
        finally:
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
        except Exception as senseless:  # noqa: BLE001 - a provider may have put anything in chunks
            error = error or _senseless(senseless, self.provider, self.model)
            self._response = self._cut(_reason(error))
        callbacks, self._ends = self._ends, []
        for callback in callbacks:
            error = await self._tell(callback, error)
        if error is not None and given is None:
            raise error

    async def _tell(
        self, callback: EndCallback, error: BaseException | None
    ) -> BaseException | None:
        """Call one callback; gives what the end is now: a refusal, or a cancel, fails it."""
        try:
            changed: object = callback(End(self.response, error))
            if changed is not None and not isinstance(changed, ChatResponse):
                changed = await cast("Awaitable[object]", changed)
        except DovetailError as refusal:
            return error or refusal
        except asyncio.CancelledError as cancel:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                return error or cancel
            log.exception("an on_end callback cancelled itself", callback=repr(callback))
        except Exception:
            # One plugin's book-keeping must not take the answer from everybody else.
            log.exception("an on_end callback failed", callback=repr(callback))
        else:
            if isinstance(changed, ChatResponse):
                self._response = changed
            elif changed is not None:
                log.error(
                    "an on_end callback returned neither a ChatResponse nor None",
                    callback=repr(callback),
                    returned=type(changed).__name__,
                )
        return error

    def _settled(self, error: BaseException | None) -> ChatResponse:
        """The response with what is known besides: who answered what request, and notes."""
        response = self._accumulated(error)
        made: dict[str, Any] = {}
        if self.metadata:
            made["metadata"] = freeze({**response.metadata, **self.metadata})
        if self.provider and not response.provider:
            made["provider"] = self.provider
        request_id = self._request_id()
        if request_id and not response.request_id:
            made["request_id"] = request_id
        return response.model_copy(update=made) if made else response

    def _accumulated(self, error: BaseException | None) -> ChatResponse:
        accumulator, whole = self.accumulator, self._response
        if accumulator is None and whole is not None:
            return whole
        if accumulator is None or error is not None:
            return self._cut(FinishReason.STOP if error is None else _reason(error))
        made = accumulator.response(
            provider=self.provider, model=self.model, request_id=self._request_id()
        )
        if whole is None:
            return made
        # A whole answer went through `each`: what chunks do not carry stays as it was.
        said = {
            "message": made.message,
            "finish_reason": made.finish_reason,
            "alternatives": made.alternatives,
        }
        return whole.model_copy(update=said)

    def _request_id(self) -> str:
        context = self.context
        return context.request_id if context is not None and context.has_request_id else ""


def as_provider_error(
    error: BaseException, provider: str, model: str, secrets: frozenset[str] = frozenset()
) -> BaseException:
    """What to raise for something that came out of a provider.

    Our own errors and a cancel that was asked for stay themselves; anything else, also a
    `CancelledError` that nobody asked for, becomes a `ProviderError`. None holds one of `secrets`.
    """
    if isinstance(error, (GeneratorExit, KeyboardInterrupt)):
        return error
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        if task is None or task.cancelling():
            return error
        return ProviderError("it cancelled itself", provider=provider, model=model)
    scrub(error, secrets)
    if isinstance(error, ProviderError):
        error.complete(provider=provider, model=model)
        return error
    if isinstance(error, DovetailError):
        return error
    what = describe(error)
    return ProviderError(f"it failed with {what}", provider=provider, model=model)


def _senseless(error: Exception, provider: str, model: str) -> DovetailError:
    """What to raise for an answer whose pieces make no sense."""
    if isinstance(error, DovetailError):
        return error
    message = f"its chunks hold what they must not: {describe(error)}"
    invalid = InvalidResponse(message, provider=provider, model=model)
    invalid.__cause__ = error
    return invalid


def _reason(error: BaseException) -> FinishReason:
    stopped = isinstance(error, (asyncio.CancelledError, GeneratorExit))
    return FinishReason.CANCELLED if stopped else FinishReason.ERROR


async def _replay(response: ChatResponse) -> AsyncGenerator[StreamingChunk]:
    for chunk in chunks_of(response):
        yield chunk


async def _close(source: AsyncIterator[StreamingChunk]) -> None:
    """Close what the chunks come from; an iterator that is no generator may have no `aclose`."""
    aclose = getattr(source, "aclose", None)
    if aclose is None:
        return
    try:
        await aclose()
    except Exception:
        # What ended the answer matters more than what closing it raised.
        log.exception("a provider failed to close its stream")
