"""What of a turn is new to its session, and what of it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.chat.messages import MessageRole
from dovetail.chat.responses import FinishReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.chat.messages import ChatMessage
    from dovetail.chat.responses import ChatResponse


def said(messages: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """The messages that are kept: all but the system's, which a host sends anew."""
    return tuple([m for m in messages if m.role is not MessageRole.SYSTEM])


def new_messages(
    history: Sequence[ChatMessage], messages: Sequence[ChatMessage]
) -> tuple[ChatMessage, ...]:
    """What of a request's `messages` the `history` does not have yet.

    Many clients send the whole conversation each time. The longest beginning of `messages` that
    ends as the history does is the part it has: the history may be only a tail of the stored one.
    Since a history ends with an answer, a user who says the same thing twice is not mistaken for a
    repetition.
    """
    fresh = said(messages)
    if len(fresh) < 2 or not history:
        return fresh
    last = _key(history[-1])
    for end in range(len(fresh) - 1, -1, -1):
        if _key(fresh[end]) == last and _ends_alike(history, fresh[: end + 1]):
            return fresh[end + 1 :]
    return fresh


def kept_messages(
    new: Sequence[ChatMessage], response: ChatResponse, *, whole: bool
) -> tuple[ChatMessage, ...]:
    """What a turn adds to its session; nothing if it broke off before anything came."""
    message = response.message
    if not whole and not (message.content or message.reasoning or message.refusal):
        return ()
    reason = response.finish_reason
    if reason is not FinishReason.STOP:
        metadata = {**message.metadata, "finish_reason": str(reason)}
        message = message.model_copy(update={"metadata": metadata})
    return (*new, message)


def _ends_alike(history: Sequence[ChatMessage], messages: Sequence[ChatMessage]) -> bool:
    length = min(len(history), len(messages))
    return all(
        _key(a) == _key(b) for a, b in zip(history[-length:], messages[-length:], strict=True)
    )


def _key(message: ChatMessage) -> tuple[object, ...]:
    """What a client sends back unchanged: reasoning and metadata often get lost on the way."""
    return (
        message.role,
        message.content,
        tuple((call.id, call.name) for call in message.tool_calls),
        message.tool_call_id,
    )
