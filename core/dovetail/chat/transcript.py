"""What of a turn is new to its session, and what of it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.chat.frozen import freeze
from dovetail.chat.messages import MessageRole, TextPart
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

    Many clients send the whole conversation each time, or as much of it as was before an answer
    they want anew. The longest beginning of `messages` that the history has, up to an answer, is
    not new. The history may be only a tail of the stored one. Since it is an answer that is looked
    for, a user who says the same thing twice is not mistaken for a repetition.
    """
    fresh = said(messages)
    if len(fresh) < 2 or not history:
        return fresh
    known = [_key(message) for message in history]
    sent = [_key(message) for message in fresh]
    for end in range(len(sent) - 1, -1, -1):
        if fresh[end].role is not MessageRole.USER and _has(known, sent[: end + 1]):
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
        metadata = freeze({**message.metadata, "finish_reason": str(reason)})
        message = message.model_copy(update={"metadata": metadata})
    return (*new, message)


def _has(history: list[tuple[object, ...]], messages: list[tuple[object, ...]]) -> bool:
    """Whether `messages` stand in `history` one after the other; it may begin in their middle."""
    for end in range(len(history) - 1, -1, -1):
        length = min(end + 1, len(messages))
        if (
            history[end] == messages[-1]
            and history[end + 1 - length : end + 1] == (messages[-length:])
        ):
            return True
    return False


def _key(message: ChatMessage) -> tuple[object, ...]:
    """What a client sends back unchanged: reasoning and metadata often get lost on the way."""
    parts = message.content if not isinstance(message.content, str) else ()
    only_text = all(isinstance(part, TextPart) for part in parts)
    return (
        message.role,
        message.text if only_text else message.content,
        tuple((call.id, call.name) for call in message.tool_calls),
        message.tool_call_id,
    )
