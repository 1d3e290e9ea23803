"""Pieces of a streamed answer.

A chunk is made for every token or so: a slots dataclass costs a fifth of a pydantic model. It is
not frozen at run time, which would cost four times as much again; type checkers see it as frozen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

from dovetail.chat.messages import MessageRole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dovetail.chat.messages import Annotation, ChatMessage
    from dovetail.chat.responses import ChatResponse, FinishReason, Logprobs, Usage

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def _value(cls: type[T]) -> type[T]:
    return dataclass(slots=True)(cls)


@_value
class ToolCallDelta:
    """A piece of a tool call. Pieces belong together by `id`, else by `index`, else to the last."""

    id: str = ""
    name: str = ""
    arguments: str = ""
    index: int | None = None
    extras: Mapping[str, Any] | None = None
    """What the provider put beside it; later keys win."""


@_value
class StreamingChunk:
    """A piece of an answer; every field may be empty."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: FinishReason | str | None = None
    """Set once, on the last chunk that has text or later."""
    usage: Usage | None = None
    model: str = ""
    extras: Mapping[str, Any] | None = None
    """What the provider said besides. Later keys win, but a tuple adds to what came before, and the
    whole answer has a list of all."""
    index: int = 0
    """Which of several answers it is a piece of; usage and model are those of all."""
    annotations: tuple[Annotation, ...] = ()
    logprobs: Logprobs | None = None


def chunks_of(response: ChatResponse) -> Iterator[StreamingChunk]:
    """The chunks that say the same as a whole `response`: one for each of its answers."""
    yield StreamingChunk(
        finish_reason=response.finish_reason,
        usage=response.usage,
        model=response.model,
        extras=response.extras or None,
        logprobs=response.logprobs,
        **_said(response.message),
    )
    for choice in response.alternatives:
        yield StreamingChunk(
            finish_reason=choice.finish_reason,
            extras=choice.extras or None,
            index=choice.index,
            logprobs=choice.logprobs,
            **_said(choice.message),
        )


def _said(message: ChatMessage) -> dict[str, Any]:
    if message.role is not MessageRole.ASSISTANT:
        reason = f"an answer's message has the role `assistant`, not `{message.role}`"
        raise ValueError(reason)
    return {
        "text": message.text,
        "reasoning": message.reasoning,
        "refusal": message.refusal,
        "tool_calls": tuple(
            ToolCallDelta(call.id, call.name, call.arguments, index, call.extras or None)
            for index, call in enumerate(message.tool_calls)
        ),
        "annotations": message.annotations,
    }
