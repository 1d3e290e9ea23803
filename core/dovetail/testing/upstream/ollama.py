"""Answers as Ollama's own interface gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from dovetail.testing.script import words
from dovetail.testing.upstream.reply import ScriptedReply, json_reply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CREATED = "2026-01-02T03:04:05.678901Z"
COUNTS = {
    "total_duration": 2_000_000_000,
    "load_duration": 500_000_000,
    "prompt_eval_count": 5,
    "prompt_eval_duration": 300_000_000,
    "eval_count": 2,
    "eval_duration": 1_000_000_000,
}
"""What the last line of an answer tells; durations in nanoseconds."""


def ollama_ndjson(
    *pieces: str | Mapping[str, Any],
    finish: str | None = "stop",
    counts: Mapping[str, Any] = COUNTS,
    model: str = "scripted",
    headers: Mapping[str, str] | None = None,
) -> ScriptedReply:
    """A streamed answer of `/api/chat`, a step for each line.

    A single text is a line for each word; of several each is a line. A mapping is a `message`
    (`{"thinking": "hm"}`, `{"tool_calls": […]}`), or a whole line if it has `error`, `message` or
    `status`. Then comes the last line, with `finish` as the done reason; None leaves it out.
    """
    if len(pieces) == 1 and isinstance(pieces[0], str):
        pieces = tuple(words(pieces[0]))
    lines: list[Mapping[str, Any]] = []
    for piece in pieces:
        if isinstance(piece, str):
            lines.append(_line(model, {"content": piece}))
        elif {"error", "message", "status"}.isdisjoint(piece):
            lines.append(_line(model, piece))
        else:
            lines.append(piece)
    if finish is not None:
        lines.append(_last(model, {}, finish, counts))
    kept = {"content-type": "application/x-ndjson", **(headers or {})}
    return ScriptedReply(tuple(to_json(line) + b"\n" for line in lines), 200, kept, "chunked")


def ollama_json(
    text: str = "Hello there",
    *,
    finish: str = "stop",
    counts: Mapping[str, Any] = COUNTS,
    model: str = "scripted",
    headers: Mapping[str, str] | None = None,
    **message: Any,
) -> ScriptedReply:
    """A whole answer of `/api/chat`; `message` adds to its message, such as `tool_calls`."""
    return json_reply(200, _last(model, {"content": text, **message}, finish, counts), headers)


def ollama_embeddings(
    vectors: Sequence[Sequence[float]] = ((1.0, 0.0),), *, model: str = "scripted", tokens: int = 3
) -> ScriptedReply:
    """An answer of `/api/embed`."""
    value = {
        "model": model,
        "embeddings": [list(vector) for vector in vectors],
        "total_duration": 14_000_000,
        "load_duration": 1_000_000,
        "prompt_eval_count": tokens,
    }
    return json_reply(200, value)


def ollama_tags(*names: str) -> ScriptedReply:
    """An answer of `/api/tags` (and, with the same shape, of `/api/ps`)."""
    models = [
        {
            "name": name,
            "model": name,
            "modified_at": CREATED,
            "size": 91_739_413,
            "digest": f"{number:064x}",
            "details": {
                "format": "gguf",
                "family": "llama",
                "parameter_size": "134.52M",
                "quantization_level": "Q4_1",
            },
        }
        for number, name in enumerate(names)
    ]
    return json_reply(200, {"models": models})


def _line(model: str, message: Mapping[str, Any]) -> dict[str, Any]:
    said = {"role": "assistant", "content": "", **message}
    return {"model": model, "created_at": CREATED, "message": said, "done": False}


def _last(
    model: str, message: Mapping[str, Any], finish: str, counts: Mapping[str, Any]
) -> dict[str, Any]:
    return {**_line(model, message), "done_reason": finish, "done": True, **counts}
