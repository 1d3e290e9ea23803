"""Between dovetail's models and the OpenAI-shaped JSON that llama.cpp's server speaks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from dovetail import (
    ContextTooLong,
    InvalidRequest,
    InvalidResponse,
    MessageRole,
    ProviderUnavailable,
    StreamingChunk,
    TextPart,
    ToolCallDelta,
    ToolChoice,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dovetail import ChatMessage, ChatRequest, FunctionTool, ProviderError, ResponseFormat

_TOO_LARGE = re.compile(r"\((\d+) tokens\).*too large.*batch size: (\d+)")


def body_of(request: ChatRequest) -> dict[str, Any]:
    """The request as llama.cpp wants it; its own further fields come from `request.extras`.

    Raises:
        InvalidRequest: it holds what a text model cannot take.
    """
    if not request.messages:
        raise InvalidRequest("there are no messages to answer")
    if request.extras.get("n", 1) != 1:
        raise InvalidRequest("this provider gives one answer to a request, not `n` of them")
    body: dict[str, Any] = {
        **request.extras,
        "messages": [_message(message) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        # A long prompt would otherwise be read without a word, and could not be cancelled.
        "return_progress": True,
    }
    for field in ("temperature", "top_p", "max_tokens", "seed"):
        value = getattr(request, field)
        if value is not None:
            body[field] = value
    if request.stop:
        body["stop"] = list(request.stop)
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        if request.tool_choice is not None:
            body["tool_choice"] = _choice(request.tool_choice)
    if request.response_format is not None:
        body["response_format"] = _format(request.response_format)
    if request.reasoning_effort is not None:
        arguments = {"reasoning_effort": request.reasoning_effort}
        body["chat_template_kwargs"] = {**body.get("chat_template_kwargs", {}), **arguments}
    return body


def _message(message: ChatMessage) -> dict[str, Any]:
    if not isinstance(message.content, str):
        for part in message.content:
            if not isinstance(part, TextPart):
                what = f"this provider takes text only, and a message holds an {part.type} part"
                raise InvalidRequest(what)
    made: dict[str, Any] = {"role": str(message.role), "content": message.text}
    if message.name:
        made["name"] = message.name
    if message.role is MessageRole.TOOL:
        made["tool_call_id"] = message.tool_call_id
    if message.reasoning:
        made["reasoning_content"] = message.reasoning
    if message.tool_calls:
        made["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    return made


def _tool(tool: FunctionTool) -> dict[str, Any]:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }
    return {"type": "function", "function": function}


def _choice(choice: str | ToolChoice) -> object:
    if isinstance(choice, ToolChoice):
        return {"type": "function", "function": {"name": choice.name}}
    return choice


def _format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.type != "json_schema":
        return {"type": wanted.type}
    schema = {"name": wanted.name, "schema": wanted.json_schema or {}, "strict": wanted.strict}
    return {"type": "json_schema", "json_schema": schema}


def chunk_of(raw: Mapping[str, Any], model: str) -> StreamingChunk | None:
    """What one of llama.cpp's chunks says; None if it says nothing."""
    text = reasoning = ""
    calls: tuple[ToolCallDelta, ...] = ()
    reason = None
    for choice in raw["choices"]:
        delta = choice["delta"]
        text = delta.get("content") or ""
        reasoning = delta.get("reasoning_content") or ""
        reason = choice["finish_reason"]
        if "tool_calls" in delta:
            calls = tuple(_call(call) for call in delta["tool_calls"])
    counted = raw.get("usage")
    if not (text or reasoning or calls or reason or counted):
        return None
    return StreamingChunk(
        text=text,
        reasoning=reasoning,
        tool_calls=calls,
        finish_reason=reason,
        usage=None if counted is None else _usage(counted),
        model=model,
        extras={"timings": raw["timings"]} if "timings" in raw else None,
    )


def _call(raw: Mapping[str, Any]) -> ToolCallDelta:
    function = raw.get("function", {})
    return ToolCallDelta(
        id=raw.get("id") or "",
        name=function.get("name") or "",
        arguments=function.get("arguments") or "",
        index=raw.get("index"),
    )


def _usage(raw: Mapping[str, Any]) -> Usage:
    return Usage(
        prompt_tokens=raw["prompt_tokens"],
        completion_tokens=raw["completion_tokens"],
        total_tokens=raw["total_tokens"],
        cached_tokens=raw.get("prompt_tokens_details", {}).get("cached_tokens"),
    )


def error_of(raw: Mapping[str, Any], model: str) -> ProviderError:
    """The error that llama.cpp's error object stands for."""
    said, kind, status = str(raw.get("message", raw)), raw.get("type"), raw.get("code")
    if kind == "exceed_context_size_error":
        return _too_long("the prompt", raw["n_prompt_tokens"], raw["n_ctx"], model)
    if too_large := _TOO_LARGE.search(said):
        return _too_long("the text", int(too_large[1]), int(too_large[2]), model)
    if kind in ("invalid_request_error", "not_supported_error"):
        return InvalidRequest(f"llama.cpp refused the request: {said}", status=status, model=model)
    if kind == "unavailable_error":
        return ProviderUnavailable(f"llama.cpp cannot answer: {said}", status=status, model=model)
    return InvalidResponse(f"llama.cpp failed: {said}", status=status, model=model)


def _too_long(what: str, tokens: int, room: int, model: str) -> ContextTooLong:
    return ContextTooLong(
        f"{what} has {tokens} tokens and the context of `{model}` holds {room}; "
        "shorten it, or raise `context` in the provider's settings if the model can take more",
        model=model,
    )
