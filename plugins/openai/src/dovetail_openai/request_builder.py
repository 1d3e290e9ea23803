"""From a request to the JSON body that servers expect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail import AudioPart, ImagePart, InvalidRequest, MessageRole, TextPart, ToolChoice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dovetail import (
        ChatMessage,
        ChatRequest,
        ContentPart,
        EmbeddingRequest,
        FunctionTool,
        ResponseFormat,
        ToolCall,
    )


class RequestBuilder:
    """Builds bodies for one server."""

    __slots__ = ("_body", "_max_tokens", "_reasoning", "_usage")

    def __init__(
        self,
        *,
        max_tokens_field: str = "max_tokens",
        stream_usage: bool = True,
        reasoning_field: str = "",
        body: Mapping[str, Any] | None = None,
    ) -> None:
        self._max_tokens = max_tokens_field
        self._usage = stream_usage
        self._reasoning = reasoning_field
        self._body = body or {}

    def chat(self, request: ChatRequest, model: str, *, stream: bool) -> dict[str, Any]:
        """The body of a chat request.

        Fields win in this order: those that make the request what it is, the request's `extras`,
        its own fields, the settings' `body`.

        Raises:
            InvalidRequest: there are no messages.
        """
        if not request.messages:
            raise InvalidRequest("there are no messages to answer")
        body = {**self._body, **self._sampling(request)}
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
            if request.tool_choice is not None:
                body["tool_choice"] = _choice(request.tool_choice)
        if request.response_format is not None:
            body["response_format"] = _format(request.response_format)
        if request.reasoning_effort is not None:
            body["reasoning_effort"] = request.reasoning_effort
        if stream and self._usage:
            body["stream_options"] = {"include_usage": True}
        if request.extras:
            body.update(request.extras)
        body["model"] = model
        body["messages"] = [self._message(message) for message in request.messages]
        body["stream"] = stream
        if not stream:
            body.pop("stream_options", None)
        return body

    def embedding(
        self, request: EmbeddingRequest, model: str, texts: Sequence[str]
    ) -> dict[str, Any]:
        """The body of an embedding request for some of its texts."""
        body: dict[str, Any] = {}
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        return {**body, **request.extras, "model": model, "input": texts}

    def _sampling(self, request: ChatRequest) -> dict[str, Any]:
        made: dict[str, Any] = {}
        if request.temperature is not None:
            made["temperature"] = request.temperature
        if request.top_p is not None:
            made["top_p"] = request.top_p
        if request.max_tokens is not None:
            made[self._max_tokens] = request.max_tokens
        if request.stop:
            made["stop"] = request.stop
        if request.seed is not None:
            made["seed"] = request.seed
        return made

    def _message(self, message: ChatMessage) -> dict[str, Any]:
        content = message.content
        made: dict[str, Any] = {
            "role": message.role.value,
            "content": content if isinstance(content, str) else [_part(part) for part in content],
        }
        if message.name:
            made["name"] = message.name
        if message.role is MessageRole.TOOL:
            made["tool_call_id"] = message.tool_call_id
        elif message.role is MessageRole.ASSISTANT:
            if message.refusal:
                made["refusal"] = message.refusal
            if message.reasoning and self._reasoning:
                made[self._reasoning] = message.reasoning
            if message.tool_calls:
                made["tool_calls"] = [_call(call) for call in message.tool_calls]
            if not content and (message.tool_calls or message.refusal):
                made["content"] = None  # an empty text beside them is refused by some
        return made


def _part(part: ContentPart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, ImagePart):
        image = {"url": part.url or f"data:{part.media_type};base64,{part.data}"}
        if part.detail != "auto":
            image["detail"] = part.detail
        return {"type": "image_url", "image_url": image}
    if isinstance(part, AudioPart):
        audio = {"data": part.data, "format": part.format}
        return {"type": "input_audio", "input_audio": audio}
    raise InvalidRequest(f"this provider cannot send a part of type `{part.type}`")


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {**call.extras, "id": call.id, "type": "function", "function": function}


def _tool(tool: FunctionTool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters}
    if tool.description:
        function["description"] = tool.description
    if tool.strict:
        function["strict"] = True
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
