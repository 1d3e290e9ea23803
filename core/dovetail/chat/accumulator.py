"""From the pieces of an answer to the whole of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail.chat.frozen import freeze
from dovetail.chat.messages import ChatMessage, MessageRole, ToolCall
from dovetail.chat.responses import ChatResponse, FinishReason, Usage
from dovetail.errors import InvalidResponse
from dovetail.ids import new_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from dovetail.chat.chunks import StreamingChunk, ToolCallDelta


class StreamingAccumulator:
    """Collects chunks; `response()` gives what they make so far."""

    __slots__ = (
        "_calls",
        "_extras",
        "_reasoning",
        "_refusal",
        "_text",
        "_usage",
        "finish",
        "model",
    )

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._calls: list[_OpenCall] | None = None
        self._extras: dict[str, Any] | None = None
        self._usage: Usage | None = None
        self.finish: FinishReason | str | None = None
        self.model = ""

    def add(self, chunk: StreamingChunk) -> None:
        """Take in the next chunk."""
        if chunk.text:
            self._text.append(chunk.text)
        if chunk.reasoning:
            self._reasoning.append(chunk.reasoning)
        if chunk.refusal:
            self._refusal.append(chunk.refusal)
        if chunk.tool_calls:
            for delta in chunk.tool_calls:
                self._add_call(delta)
        if chunk.finish_reason is not None:
            self.finish = chunk.finish_reason
        if chunk.usage is not None:
            self._usage = chunk.usage if self._usage is None else _merge(self._usage, chunk.usage)
        if chunk.model:
            self.model = chunk.model
        if chunk.extras:
            self._extras = {**(self._extras or {}), **chunk.extras}

    @property
    def empty(self) -> bool:
        """Whether nothing has come that a reader would see or a tool would run."""
        return not (self._text or self._reasoning or self._refusal or self._calls)

    def response(
        self,
        *,
        finish: FinishReason | str | None = None,
        provider: str = "",
        model: str = "",
        request_id: str = "",
    ) -> ChatResponse:
        """The answer so far. `finish` overrides the reason the chunks gave; none means `stop`."""
        reason = finish or self.finish
        if reason is None:
            reason = FinishReason.TOOL_CALLS if self._calls else FinishReason.STOP
        # Only what there is: validating an empty field costs as much as a full one.
        more: dict[str, Any] = {}
        if self._calls:
            more["tool_calls"] = tuple(call.done() for call in self._calls)
        if self._reasoning:
            more["reasoning"] = _joined(self._reasoning)
        if self._refusal:
            more["refusal"] = _joined(self._refusal)
        message = ChatMessage(role=MessageRole.ASSISTANT, content=_joined(self._text), **more)
        known: dict[str, Any] = {}
        if request_id:
            known["request_id"] = request_id
        if self._usage is not None:
            known["usage"] = self._usage
        if self._extras:
            known["extras"] = self._extras
        return ChatResponse(
            message=message,
            finish_reason=reason,
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
        self._calls = None
        return self.response(finish=finish, provider=provider, model=model, request_id=request_id)

    def _add_call(self, delta: ToolCallDelta) -> None:
        if self._calls is None:
            self._calls = []
        call = self._find_call(delta)
        if call is None:
            call = _OpenCall(delta.id, delta.index)
            self._calls.append(call)
        if delta.name and not call.name:
            call.name = delta.name
        if delta.arguments:
            call.arguments.append(delta.arguments)

    def _find_call(self, delta: ToolCallDelta) -> _OpenCall | None:
        """By id, then by index, then the open one; a new id opens a new call.

        Servers repeat index 0, leave out the index, or leave out the id.
        """
        calls = self._calls or []
        if delta.id:
            return next((call for call in calls if call.id == delta.id), None)
        if delta.index is not None:
            return next((call for call in reversed(calls) if call.index == delta.index), None)
        return calls[-1] if calls else None


class _OpenCall:
    __slots__ = ("arguments", "id", "index", "name")

    def __init__(self, id_: str, index: int | None) -> None:
        self.id = id_
        self.index = index
        self.name = ""
        self.arguments: list[str] = []

    def done(self) -> ToolCall:
        if not self.name:
            message = "the model called a tool without saying which"
            raise InvalidResponse(message)
        # The id is kept once made, so that asking twice gives the same call.
        self.id = self.id or f"call_{new_id()}"
        return ToolCall(id=self.id, name=self.name, arguments=_joined(self.arguments) or "{}")


class StreamingToNonStreamingConverter:
    """Makes one answer of a provider's stream."""

    async def convert(self, stream: AsyncIterable[StreamingChunk]) -> ChatResponse:
        """Read `stream` to its end; what it raises passes through."""
        accumulator = StreamingAccumulator()
        async for chunk in stream:
            accumulator.add(chunk)
        return accumulator.response()


def _joined(parts: list[str]) -> str:
    """The text of all pieces; a surrogate pair that was split between two is made whole again."""
    text = "".join(parts)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _merge(known: Usage, new: Usage) -> Usage:
    """The newer counts, and the older where the newer has none."""
    given = {name: value for name, value in new if value is not None and name != "extras"}
    extras = freeze({**known.extras, **new.extras})
    return known.model_copy(update={**given, "extras": extras})
