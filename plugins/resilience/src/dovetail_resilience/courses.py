"""How one attempt is made: of a chat, of an embedding."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dovetail import Answer, ChatCall, EmbedCall, EmbeddingResponse, ProviderError
from dovetail_resilience.course import Course
from dovetail_resilience.hold import broken, left_something, read_ahead, read_whole
from dovetail_resilience.tokens import tokens_of_chat, tokens_of_texts
from dovetail_resilience.trail import attach

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Any

    from dovetail import ChatResponse, End, SoftRef
    from dovetail_resilience.course import Rules
    from dovetail_resilience.gate import Lease


class ChatCourse(Course[ChatCall, Answer]):
    """A chat: its answer is whole, or its first chunk is there and nobody has seen it."""

    __slots__ = ("_broke", "_stream")

    def __init__(
        self,
        rules: Rules,
        fallback: Sequence[SoftRef[Any]],
        call: ChatCall,
        call_next: Callable[[ChatCall], Awaitable[Answer]],
    ) -> None:
        super().__init__(rules, fallback, call, call_next)
        self._stream = call.stream
        self._broke: Answer | None = None
        """The answer of which something had come when the latest attempt failed."""

    async def _ask(self, call: ChatCall, lease: Lease) -> Answer:
        self._broke = None
        answer = await self._call_next(call)
        if answer.complete:
            lease.leave(None, answer.response.usage)
        else:
            lease.answering()
            answer.on_end(partial(_ended, lease))
            hold = self._rules.hold
            # Of what is not streamed nobody sees a chunk before the end.
            if not self._stream or not hold.nothing:
                answer = await self._held(answer, whole=hold.whole or not self._stream)
        if lease.trail.decisions:
            answer.metadata["resilience"] = lease.trail.report()
        return answer

    def _tokens(self, call: ChatCall) -> int:
        return tokens_of_chat(call.request)

    async def _held(self, answer: Answer, *, whole: bool) -> Answer:
        try:
            return await (read_whole(answer) if whole else read_ahead(answer, self._rules.hold))
        except BaseException:
            if answer.complete and left_something(answer):
                self._broke = answer
            raise

    async def _give_up(self, error: ProviderError, reason: str) -> Answer:
        try:
            return await super()._give_up(error, reason)
        except ProviderError:
            if self._broke is None or self._broke.provider != self._provider:
                raise
        return await broken(self._broke, error)


class EmbedCourse(Course[EmbedCall, EmbeddingResponse]):
    """An embedding."""

    __slots__ = ()

    async def _ask(self, call: EmbedCall, lease: Lease) -> EmbeddingResponse:
        response = await self._call_next(call)
        lease.leave(None, response.usage)
        decided = lease.trail.decisions
        if not decided:
            return response
        noted = {**response.metadata, "resilience": lease.trail.report()}
        return response.model_copy(update={"metadata": noted})

    def _tokens(self, call: EmbedCall) -> int:
        return tokens_of_texts(call.request)


def _ended(lease: Lease, end: End) -> ChatResponse | None:
    """Leave the gate when a stream ends, and add what is decided by that to the metadata."""
    error, trail = end.error, lease.trail
    if error is not None and not lease.handed_on:
        return None  # the attempt failed: whoever makes it leaves, and knows why it was cancelled
    known = len(trail.decisions)
    lease.leave(error, end.response.usage)
    if trail.decisions and isinstance(error, ProviderError):
        attach(error, trail)
    if len(trail.decisions) == known:
        return None
    noted = {**end.response.metadata, "resilience": trail.report()}
    return end.response.model_copy(update={"metadata": noted})
