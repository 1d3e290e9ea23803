"""Answers as OpenAI and the many servers that speak like it give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from dovetail.testing.script import words
from dovetail.testing.upstream.reply import ScriptedReply, event_stream, json_reply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ID = "chatcmpl-scripted"
CREATED = 1_700_000_000
DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
_WHOLE = {"choices", "error", "object", "usage"}


def openai_sse(
    *pieces: str | Mapping[str, Any],
    usage: Mapping[str, Any] | None = None,
    finish: str | None = "stop",
    done: bool = True,
    model: str = "scripted",
    headers: Mapping[str, str] | None = None,
) -> ScriptedReply:
    """A streamed chat completion, a step for each event.

    A single text is a chunk for each word; of several each is a chunk. A mapping is a `delta`
    (`{"tool_calls": […]}`), or a whole chunk if it has `choices`, `error`, `object` or `usage`.
    Then come a chunk with `finish` as the finish reason, one with `usage` and no choices, and
    `[DONE]`, each of which may be left out (None, None, False).
    """
    if len(pieces) == 1 and isinstance(pieces[0], str):
        pieces = tuple(words(pieces[0]))
    chunks: list[Mapping[str, Any]] = []
    for piece in pieces:
        if isinstance(piece, str):
            chunks.append(_chunk(model, {"content": piece}))
        elif _WHOLE.isdisjoint(piece):
            chunks.append(_chunk(model, piece))
        else:
            chunks.append(piece)
    if finish is not None:
        chunks.append(_chunk(model, {}, finish))
    if usage is not None:
        chunks.append({**_chunk(model, {}), "choices": [], "usage": usage})
    events = [b"data: %b\n\n" % to_json(chunk) for chunk in chunks]
    return event_stream(*events, *([DONE] if done else []), headers=headers)


def openai_json(
    text: str | None = "Hello there",
    *,
    usage: Mapping[str, Any] | None = USAGE,
    finish: str = "stop",
    model: str = "scripted",
    headers: Mapping[str, str] | None = None,
    **message: Any,
) -> ScriptedReply:
    """A whole chat completion; `message` adds to its message, such as `tool_calls`."""
    said = {"role": "assistant", "content": text, **message}
    value: dict[str, Any] = {
        "id": ID,
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": [{"index": 0, "message": said, "finish_reason": finish}],
    }
    if usage is not None:
        value["usage"] = usage
    return json_reply(200, value, headers)


def openai_embeddings(
    vectors: Sequence[Sequence[float]] = ((1.0, 0.0),), *, model: str = "scripted", tokens: int = 3
) -> ScriptedReply:
    """An answer of `/embeddings`."""
    data = [
        {"object": "embedding", "index": index, "embedding": list(vector)}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json_reply(200, {"object": "list", "data": data, "model": model, "usage": usage})


def openai_models(*names: str) -> ScriptedReply:
    """An answer of `/models`."""
    data = [
        {"id": name, "object": "model", "created": CREATED, "owned_by": "test"} for name in names
    ]
    return json_reply(200, {"object": "list", "data": data})


def openai_error(
    status: int,
    message: str,
    *,
    type: str = "invalid_request_error",  # noqa: A002 - the name it has on the wire
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> ScriptedReply:
    """An error as OpenAI words it."""
    error = {"message": message, "type": type, "param": None, "code": code}
    return json_reply(status, {"error": error}, headers)


def _chunk(model: str, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {
        "id": ID,
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
