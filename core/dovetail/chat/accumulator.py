"""From the pieces of an answer to the whole of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dovetail.chat.chunks import StreamingChunk
from dovetail.chat.frozen import freeze
from dovetail.chat.messages import Annotation, ChatMessage, MessageRole
from dovetail.chat.responses import ChatResponse, Choice, FinishReason, Logprobs, Usage
from dovetail.chat.texts import joined
from dovetail.chat.tool_calls import OpenCalls

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Mapping


class StreamingAccumulator:
    """Collects chunks; `response()` gives what they make so far."""

    __slots__ = (
        "_annotations",
        "_calls",
        "_extras",
        "_logprobs",
        "_others",
        "_reasoning",
        "_refusal",
        "_text",
        "_usage",
        "finish",
        "model",
    )

    def __init__(self) -> None:
        self._text: list[str] = []
        # The rest is made when there is something to put in: most answers are text alone.
        self._reasoning: list[str] | None = None
        self._refusal: list[str] | None = None
        self._calls: OpenCalls | None = None
        self._annotations: tuple[Annotation, ...] = ()
        self._logprobs: list[Logprobs] | None = None
        self._extras: dict[str, Any] | None = None
        self._others: dict[int, StreamingAccumulator] | None = None
        self._usage: Usage | None = None
        self.finish: FinishReason | str | None = None
        self.model = ""

    def add(self, chunk: StreamingChunk) -> None:  # noqa: C901, PLR0912 - a step for each field
        """Take in the next chunk."""
        if chunk.index:
            self._add_other(chunk)
            return
        if text := chunk.text:
            self._text.append(text)
        if chunk.reasoning:
            if self._reasoning is None:
                self._reasoning = []
            self._reasoning.append(chunk.reasoning)
        if chunk.refusal:
            if self._refusal is None:
                self._refusal = []
            self._refusal.append(chunk.refusal)
        if chunk.tool_calls:
            if self._calls is None:
                self._calls = OpenCalls()
            for delta in chunk.tool_calls:
                self._calls.add(delta)
        if chunk.finish_reason is not None:
            self.finish = chunk.finish_reason
        if chunk.usage is not None:
            self._usage = chunk.usage if self._usage is None else _merge(self._usage, chunk.usage)
        if chunk.model:
            self.model = chunk.model
        if chunk.extras:
            self._add_extras(chunk.extras)
        if chunk.annotations:
            self._annotations += chunk.annotations
        if chunk.logprobs is not None:
            if self._logprobs is None:
                self._logprobs = []
            self._logprobs.append(chunk.logprobs)

    async def accumulate_stream(self, stream: AsyncIterable[StreamingChunk]) -> ChatResponse:
        """Read `stream` to its end and give the whole answer; what it raises passes through."""
        async for chunk in stream:
            self.add(chunk)
        return self.response()

    @property
    def empty(self) -> bool:
        """Whether nothing has come that a reader would see or a tool would run."""
        return not (self._text or self._reasoning or self._refusal or self._calls or self._others)

    def response(
        self,
        *,
        finish: FinishReason | str | None = None,
        provider: str = "",
        model: str = "",
        request_id: str = "",
    ) -> ChatResponse:
        """The answer so far. `finish` overrides the reason the chunks gave; none means `stop`.

        Raises:
            InvalidResponse: a tool call has no name.
        """
        # Only what there is: validating an empty field costs as much as a full one.
        known: dict[str, Any] = {}
        if request_id:
            known["request_id"] = request_id
        if self._usage is not None:
            known["usage"] = self._usage
        if self._others is not None:
            others = sorted(self._others.items())
            known["alternatives"] = tuple([o.choice(index, finish) for index, o in others])
        if self._extras or self._logprobs:
            known.update(self._more())
        return ChatResponse(
            message=self._message(),
            finish_reason=self._reason(finish or self.finish),
            model=self.model or model,
            provider=provider,
            **known,
        )

    def partial(
        self, finish: FinishReason, *, provider: str = "", model: str = "", request_id: str = ""
    ) -> ChatResponse:
        """What had come of an answer that was cut short.

        Tool calls are left out: their arguments may be incomplete, and nobody will answer them.
        """
        self.drop_calls()
        return self.response(finish=finish, provider=provider, model=model, request_id=request_id)

    def choice(self, index: int, finish: FinishReason | str | None) -> Choice:
        """What came of one of several answers; `finish` if it has no finish reason of its own."""
        return Choice(
            index=index,
            message=self._message(),
            finish_reason=self._reason(self.finish or finish),
            **self._more(),
        )

    def drop_calls(self) -> None:
        """Forget the tool calls of all answers."""
        self._calls = None
        for other in (self._others or {}).values():
            other.drop_calls()

    def _message(self) -> ChatMessage:
        more: dict[str, Any] = {}
        if self._calls is not None:
            more["tool_calls"] = self._calls.done()
        if self._reasoning is not None:
            more["reasoning"] = joined(self._reasoning)
        if self._refusal is not None:
            more["refusal"] = joined(self._refusal)
        if self._annotations:
            more["annotations"] = self._annotations
        return ChatMessage(role=MessageRole.ASSISTANT, content=joined(self._text), **more)

    def _reason(self, given: FinishReason | str | None) -> FinishReason | str:
        if given:
            return given
        return FinishReason.STOP if self._calls is None else FinishReason.TOOL_CALLS

    def _more(self) -> dict[str, Any]:
        """What few answers have."""
        more: dict[str, Any] = {}
        if self._logprobs is not None:
            more["logprobs"] = _join(self._logprobs)
        if self._extras is not None:
            more["extras"] = {
                key: [*value] if type(value) is list else value
                for key, value in self._extras.items()
            }
        return more

    def _add_extras(self, extras: Mapping[str, Any]) -> None:
        if self._extras is None:
            self._extras = {}
        for key, value in extras.items():
            if type(value) is not tuple:
                # A copy, since a tuple may add to it.
                self._extras[key] = [*value] if type(value) is list else value
            elif type(before := self._extras.get(key)) is list:
                before.extend(value)
            else:
                self._extras[key] = [*value]

    def _add_other(self, chunk: StreamingChunk) -> None:
        """A piece of another answer than the first."""
        if self._others is None:
            self._others = {}
        other = self._others.setdefault(chunk.index, StreamingAccumulator())
        other.add(replace(chunk, index=0, usage=None, model=""))
        if chunk.usage is not None or chunk.model:
            self.add(StreamingChunk(usage=chunk.usage, model=chunk.model))


class StreamingToNonStreamingConverter:
    """Makes one answer of a provider's stream."""

    async def convert(self, stream: AsyncIterable[StreamingChunk]) -> ChatResponse:
        """Read `stream` to its end; what it raises passes through."""
        return await StreamingAccumulator().accumulate_stream(stream)


def _join(pieces: list[Logprobs]) -> Logprobs:
    if len(pieces) == 1:
        return pieces[0]
    return Logprobs(
        content=tuple([token for piece in pieces for token in piece.content]),
        refusal=tuple([token for piece in pieces for token in piece.refusal]),
    )


def _merge(known: Usage, new: Usage) -> Usage:
    """The newer counts, and the older where the newer has none."""
    given = {name: value for name, value in new if value is not None and name != "extras"}
    extras = freeze({**known.extras, **new.extras})
    return known.model_copy(update={**given, "extras": extras})
