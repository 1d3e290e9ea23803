"""What a line says. Fields that are not known are left out."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from dovetail import (
    Answer,
    ChatCall,
    ChatResponse,
    EmbedCall,
    EmbeddingResponse,
    EventCall,
    ExecutionContext,
    ProviderError,
    redact,
)

ERROR_CHARS = 500
"""How much of an error's message is written."""


def about_chat(
    call: ChatCall,
    answer: Answer | None,
    response: ChatResponse | None,
    seconds: float,
    first: float | None,
) -> dict[str, Any]:
    """A model call; `answer` and `response` are None if nothing came.

    `first` is how many of its seconds passed before the first chunk; None if there were none.
    """
    fields = _head("chat", call)
    fields["stream"] = call.stream
    if answer is not None and response is not None:
        fields["provider"] = answer.provider or call.provider
        fields["model"] = response.model or answer.model or call.request.model
        fields["finish_reason"] = response.finish_reason
        usage = response.usage
        if usage is not None:
            if usage.prompt_tokens is not None:
                fields["prompt_tokens"] = usage.prompt_tokens
            if usage.completion_tokens is not None:
                fields["completion_tokens"] = usage.completion_tokens
                # How long the prompt took to be read says nothing of how quickly the answer grew.
                tokens, since = usage.completion_tokens, seconds
                if first is not None:
                    tokens, since = tokens - 1, seconds - first
                if tokens > 0:
                    fields["tokens_per_s"] = int(tokens / max(since, 1e-9) * 10) / 10
    if first is not None:
        fields["first_chunk_s"] = int(first * 1e6) / 1e6
    fields["duration_s"] = int(seconds * 1e6) / 1e6  # `round` takes four times as long
    return fields


def about_embed(
    call: EmbedCall, response: EmbeddingResponse | None, seconds: float
) -> dict[str, Any]:
    """An embedding call."""
    fields = _head("embed", call)
    fields["texts"] = len(call.request.input)
    if response is not None:
        fields["provider"] = response.provider or call.provider
        fields["model"] = response.model or call.request.model
        fields["dimensions"] = len(response.embeddings[0]) if response.embeddings else 0
        if response.usage is not None and response.usage.prompt_tokens is not None:
            fields["prompt_tokens"] = response.usage.prompt_tokens
    fields["duration_s"] = int(seconds * 1e6) / 1e6
    return fields


def about_event(call: EventCall, seconds: float) -> dict[str, Any]:
    """The delivery of an event to a provider."""
    fields = _beginning("event", call.context)
    fields["level"] = "debug"
    fields["provider"] = call.provider
    fields["name"] = call.event.name
    fields["duration_s"] = int(seconds * 1e6) / 1e6
    return fields


def about_error(
    fields: dict[str, Any], error: Exception, patterns: Iterable[re.Pattern[str]]
) -> None:
    """Add how a call failed."""
    fields["level"] = fields["outcome"] = "error"
    fields["error"] = type(error).__name__
    fields["error_message"] = shown(str(error), ERROR_CHARS, patterns)
    if isinstance(error, ProviderError) and error.details.status is not None:
        fields["status"] = error.details.status


def shown(text: str, limit: int, patterns: Iterable[re.Pattern[str]]) -> str:
    """`text` without secrets; cut after that, because half a secret cannot be told."""
    text = redact(text)
    for pattern in patterns:
        text = pattern.sub("***", text)
    return text if len(text) <= limit else text[:limit] + "…"


def _head(event: str, call: ChatCall | EmbedCall) -> dict[str, Any]:
    fields = _beginning(event, call.context)
    fields["provider"] = call.provider
    fields["model"] = call.request.model
    return fields


def _beginning(event: str, context: ExecutionContext | None) -> dict[str, Any]:
    """What every line begins with, in this order; a value that changes keeps its place."""
    fields: dict[str, Any] = {
        "timestamp": datetime.now(UTC).isoformat(),
        "level": "info",
        "event": event,
        "outcome": "ok",
    }
    if context is None:
        return fields
    fields["request_id"] = context.request_id
    if context.session_id is not None:
        fields["session_id"] = context.session_id
    if context.user_id is not None:
        fields["user_id"] = context.user_id
    return fields
