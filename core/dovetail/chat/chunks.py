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

    from dovetail.chat.responses import ChatResponse, FinishReason, Usage

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
    """What the provider said besides; later keys win."""


def chunks_of(response: ChatResponse) -> Iterator[StreamingChunk]:
    """The chunk that says the same as a whole `response`."""
    message = response.message
    if message.role is not MessageRole.ASSISTANT:
        role = message.role
        reason = f"an answer's message has the role `assistant`, not `{role}`"
        raise ValueError(reason)
    yield StreamingChunk(
        text=message.text,
        reasoning=message.reasoning,
        refusal=message.refusal,
        tool_calls=tuple(
            ToolCallDelta(call.id, call.name, call.arguments, index)
            for index, call in enumerate(message.tool_calls)
        ),
        finish_reason=response.finish_reason,
        usage=response.usage,
        model=response.model,
        extras=response.extras or None,
    )
