"""From dovetail's requests to the JSON that Ollama's `/api/chat` and `/api/embed` take."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

from pydantic_core import from_json, to_json

from dovetail import AudioPart, ImagePart, InvalidRequest, MessageRole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dovetail import (
        ChatMessage,
        ChatRequest,
        EmbeddingRequest,
        FunctionTool,
        ResponseFormat,
        ToolCall,
    )
    from dovetail_ollama.settings import OllamaSettings

OPTIONS = frozenset(
    "draft_num_predict f16_kv frequency_penalty low_vram main_gpu min_p mirostat mirostat_eta "  # noqa: SIM905 - a list would be a line for each
    "mirostat_tau num_batch num_ctx num_gpu num_keep num_predict num_thread numa penalize_newline "
    "presence_penalty repeat_last_n repeat_penalty seed stop temperature tfs_z top_k top_p "
    "typical_p use_mlock use_mmap vocab_only".split()
)
"""What Ollama wants inside `options`; anywhere else it ignores them without a word."""

_THINK: dict[str, bool | str] = {
    "none": False,
    "off": False,
    "false": False,
    "on": True,
    "true": True,
    "minimal": "low",
}


def build_chat(
    request: ChatRequest, model: str, settings: OllamaSettings, num_ctx: int
) -> dict[str, Any]:
    """The body for `/api/chat`.

    `request.extras` are merged: names of Ollama's parameters into `options`, the rest as they are.

    Raises:
        InvalidRequest: it holds what Ollama cannot take.
    """
    if not request.messages:
        raise InvalidRequest("there are no messages to answer")
    body = _common(request.extras, settings, num_ctx)
    body |= {"model": model, "messages": list(_messages(request.messages)), "stream": True}
    options = body["options"]
    for field, name in (
        ("temperature", "temperature"),
        ("top_p", "top_p"),
        ("seed", "seed"),
        ("max_tokens", "num_predict"),
    ):
        if (value := getattr(request, field)) is not None:
            options[name] = value
    if request.stop:
        options["stop"] = list(request.stop)
    if tools := _tools(request):
        body["tools"] = tools
    if (form := _format(request.response_format)) is not None:
        body["format"] = form
    if request.reasoning_effort is not None:
        effort = request.reasoning_effort
        body["think"] = _THINK.get(effort.lower(), effort)
    elif settings.think is not None:
        body.setdefault("think", settings.think)
    if not settings.truncate:
        body.setdefault("shift", False)
    return body


def build_embed(
    request: EmbeddingRequest, model: str, settings: OllamaSettings, num_ctx: int
) -> dict[str, Any]:
    """The body for `/api/embed`; extras are merged as `build_chat` does."""
    body = _common(request.extras, settings, num_ctx)
    body |= {"model": model, "input": list(request.input)}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return body


def build_load(model: str, num_ctx: int | None, keep_alive: float | None) -> dict[str, Any]:
    """The body that loads a model for chats, or, with a `keep_alive` of 0, unloads it."""
    body: dict[str, Any] = {"model": model, "messages": [], "stream": False}
    if num_ctx is not None:  # a request with another window would have it loaded once more
        body["options"] = {"num_ctx": num_ctx}
    if keep_alive is not None:
        body["keep_alive"] = keep_alive
    return body


def estimate(body: dict[str, Any]) -> int:
    """Tokens that the texts in `body` take, roughly: four bytes each, as in most English."""
    texts: list[str] = list(body.get("input", ()))
    for message in body.get("messages", ()):
        texts.append(message["content"])
        texts.append(message.get("thinking", ""))
    size = sum(len(text.encode(errors="replace")) for text in texts)
    if "tools" in body:
        size += len(to_json(body["tools"]))
    return size // 4


def _common(extras: dict[str, Any], settings: OllamaSettings, num_ctx: int) -> dict[str, Any]:
    own = extras.get("options", {})
    if not isinstance(own, dict):
        raise InvalidRequest("`options` in the request's extras should be a table")
    body = {key: value for key, value in extras.items() if key not in OPTIONS}
    moved = {key: value for key, value in extras.items() if key in OPTIONS}
    body["options"] = {"num_ctx": num_ctx, **settings.options, **moved, **own}
    if settings.keep_alive is not None:
        body.setdefault("keep_alive", settings.keep_alive)
    if not settings.truncate:
        body.setdefault("truncate", False)
    return body


def _messages(messages: Sequence[ChatMessage]) -> Iterator[dict[str, Any]]:
    names: dict[str, str] = {}
    for message in messages:
        made: dict[str, Any] = {"role": str(message.role), "content": message.text}
        if images := _images(message):
            made["images"] = images
        if message.reasoning:
            made["thinking"] = message.reasoning
        if message.tool_calls:
            made["tool_calls"] = [_call(call) for call in message.tool_calls]
            names.update((call.id, call.name) for call in message.tool_calls)
        if message.role is MessageRole.TOOL:
            # Ollama goes by the tool's name; newer ones know the id as well.
            made["tool_call_id"] = message.tool_call_id
            made["tool_name"] = message.name or names.get(message.tool_call_id, "")
        yield made


def _images(message: ChatMessage) -> list[str]:
    if isinstance(message.content, str):
        return []
    if any(isinstance(part, AudioPart) for part in message.content):
        raise InvalidRequest("Ollama takes text and images, and a message holds sound")
    return [_base64_of(part) for part in message.content if isinstance(part, ImagePart)]


def _base64_of(image: ImagePart) -> str:
    if not image.url:
        if not image.data:
            raise InvalidRequest("an image has neither `data` nor a `url`")
        return image.data
    if not image.url.lower().startswith("data:"):
        raise InvalidRequest(
            f"Ollama does not fetch images, and a message names one by its address "
            f"({_shown(image.url)}); fetch it and give its bytes in base64 as `data`"
        )
    head, comma, data = image.url[5:].partition(",")
    if not comma:
        raise InvalidRequest("an image's data: URL has no comma, so it holds no data")
    content = unquote_to_bytes(data)
    if head.lower().endswith(";base64"):
        return content.decode("ascii", errors="replace")
    return b64encode(content).decode("ascii")


def _shown(url: str) -> str:
    """An address without what may be secret in it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "…"
    return f"{parts.scheme}://{parts.hostname[:80]}/…" if parts.hostname else "…"


def _call(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = from_json(call.arguments)
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        # Ollama takes objects only; the model shall see what it wrote and what came of it.
        arguments = {"arguments": call.arguments}
    return {"id": call.id, "function": {"name": call.name, "arguments": arguments}}


def _tools(request: ChatRequest) -> list[dict[str, Any]]:
    if not request.tools or request.tool_choice == "none":
        return []
    if request.tool_choice not in (None, "auto"):
        raise InvalidRequest(
            "Ollama leaves it to the model whether it calls a tool: leave `tool_choice` out, or "
            'say "auto" or "none"'
        )
    return [_tool(tool) for tool in request.tools]


def _tool(tool: FunctionTool) -> dict[str, Any]:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
    return {"type": "function", "function": function}


def _format(wanted: ResponseFormat | None) -> object:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return "json"
    return wanted.json_schema or {}
