"""From one of an answer's `choices` to a chunk; the same for a delta and for a whole message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from dovetail import (
    FinishReason,
    InvalidResponse,
    StreamingChunk,
    StreamInterrupted,
    ToolCallDelta,
    error_of_object,
)
from dovetail_openai.notes import annotations_of, logprobs_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_REASONS = {str(reason): reason for reason in FinishReason}
_CHOICE = frozenset({"index", "delta", "message", "finish_reason", "logprobs", "error"})
_MESSAGE = frozenset(
    {
        "role",
        "content",
        "refusal",
        "reasoning",
        "reasoning_content",
        "tool_calls",
        "annotations",
    }
)


def chunk_of(choice: object, key: str, place: int = 0) -> StreamingChunk:
    """What a choice says under `key` (`delta` or `message`); fields nobody knows are in `extras`.

    Args:
        choice: as it came.
        key: where its words are.
        place: its index, if it does not say.

    Raises:
        ProviderError: the choice holds an error.
        InvalidResponse: it is no choice.
    """
    if not isinstance(choice, dict):
        raise _senseless("a choice is no object")
    if error := choice.get("error"):
        raise error_of_object(error)
    said = choice.get(key)
    if said is None and key == "delta":
        said = {}
    elif not isinstance(said, dict):
        raise _senseless(f"`{key}` is no object")
    text, thought = _texts_of(said.get("content"))
    extras = {k: value for k, value in choice.items() if k not in _CHOICE and is_told(value)}
    for name, value in said.items():
        if name not in _MESSAGE and is_told(value):
            # A tuple adds to what came before.
            extras[name] = tuple(value) if isinstance(value, list) else (value,)
    logprobs = logprobs_of(choice.get("logprobs"), extras)
    return StreamingChunk(
        text=text,
        reasoning=_reasoning_of(said, thought),
        refusal=_text(said.get("refusal")),
        tool_calls=_calls_of(said.get("tool_calls"), whole=key == "message"),
        finish_reason=_reason_of(choice),
        extras=extras or None,
        index=index_of(choice, place),
        annotations=annotations_of(said.get("annotations")),
        logprobs=logprobs,
    )


def index_of(choice: Mapping[str, Any], place: int = 0) -> int:
    """Which of the answers it is; `place` if it does not say."""
    index = choice.get("index")
    return index if type(index) is int and index >= 0 else place


def is_told(value: object) -> bool:
    """Whether a field says anything."""
    return value is not None and value not in ("", [], {})


def _reason_of(choice: Mapping[str, Any]) -> FinishReason | str | None:
    reason = choice.get("finish_reason")
    if not reason:
        return None
    if reason == FinishReason.ERROR:
        raise StreamInterrupted("the server broke the answer off with an error it does not name")
    return _REASONS.get(reason, reason) if isinstance(reason, str) else str(reason)


def _reasoning_of(said: Mapping[str, Any], thought: str) -> str:
    """Servers that use both names say the same under both."""
    told = _text(said.get("reasoning_content")) or _text(said.get("reasoning"))
    if told:
        return told + thought
    details = said.get("reasoning_details")  # OpenRouter; what else is in them stays in extras
    if isinstance(details, list):
        for detail in details:
            if isinstance(detail, dict):
                thought += _text(detail.get("text")) or _text(detail.get("summary"))
    return thought


def _texts_of(content: object) -> tuple[str, str]:
    """Text and reasoning of a content that is a text or a list of parts."""
    if isinstance(content, list):
        text = thought = ""
        for part in content:
            if isinstance(part, dict) and part.get("type") in ("thinking", "reasoning"):
                inner = part.get("thinking", part.get("text"))
                thought += "".join(_texts_of(inner))
            elif isinstance(part, dict):
                text += _text(part.get("text"))
            else:
                text += _text(part)
        return text, thought
    return _text(content), ""


def _calls_of(raw: object, *, whole: bool) -> tuple[ToolCallDelta, ...]:
    if not raw:
        return ()
    if not isinstance(raw, list):
        raise _senseless("`tool_calls` is no list")
    return tuple([_call_of(call, place if whole else None) for place, call in enumerate(raw)])


def _call_of(call: object, place: int | None) -> ToolCallDelta:
    if not isinstance(call, dict):
        raise _senseless("a tool call is no object")
    function = call.get("function")
    if not isinstance(function, dict):
        function = {}
    arguments = function.get("arguments")
    if isinstance(arguments, (dict, list)):
        arguments = to_json(arguments).decode()  # an object where a text belongs
    index = call.get("index")
    extras = {
        name: value
        for name, value in call.items()
        if name not in ("id", "index", "type", "function") and value is not None
    }
    return ToolCallDelta(
        id=_text(call.get("id")),
        name=_text(function.get("name")),
        arguments=_text(arguments),
        index=index if type(index) is int else place,
        extras=extras or None,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _senseless(what: str) -> InvalidResponse:
    return InvalidResponse(f"the answer does not make sense: {what}")
