"""What the kernel's own events say of turns and model calls; `events/catalogue.py` lists it all.

Each event is one literal: put together of shared parts it costs half as much again, thrice a turn.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from dovetail.chat.messages import MessageRole
from dovetail.chat.responses import FinishReason, Usage
from dovetail.chat.runs import current_run
from dovetail.host.records import describe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dovetail.chat.requests import ChatRequest
    from dovetail.chat.responses import ChatResponse, EmbeddingResponse
    from dovetail.chat.runs import Run
    from dovetail.context import ExecutionContext
    from dovetail.host.generation import Generation
    from dovetail.middleware import ChatCall, EmbedCall

AGENT_START = "agent_start"
AGENT_COMPLETE = "agent_complete"
MODEL_COMPLETE = "model_complete"

COUNTS = tuple(name for name in Usage.model_fields if name != "extras")


async def tell_start(
    generation: Generation,
    run: Run,
    context: ExecutionContext,
    request: ChatRequest,
    *,
    stream: bool,
) -> None:
    """Tell that a turn begins, if anybody wants to know."""
    events = generation.events
    if events.wants(AGENT_START):
        waiting = events.begin(AGENT_START, turn_began(run, context, request, stream=stream))
        if waiting is not None:
            await waiting


async def tell_end(
    generation: Generation,
    run: Run,
    context: ExecutionContext,
    request: ChatRequest,
    response: ChatResponse,
    error: BaseException | None,
    *,
    first: float | None,
) -> None:
    """Tell that a turn has ended, if anybody wants to know; see `turn_ended`."""
    events = generation.events
    if events.wants(AGENT_COMPLETE):
        secrets = generation.secrets
        data = turn_ended(run, context, request, response, error, first=first, secrets=secrets)
        waiting = events.begin(AGENT_COMPLETE, data)
        if waiting is not None:
            await waiting


def turn_began(
    run: Run, context: ExecutionContext, request: ChatRequest, *, stream: bool
) -> dict[str, Any]:
    """The data of `agent_start`."""
    return {
        "request_id": context.request_id,
        "session_id": context.session_id,
        "user_id": context.user_id,
        "agent_id": context.agent_id,
        "run_id": run.id,
        "model": request.model,
        "input": _asked(request),
        "stream": stream,
    }


def turn_ended(
    run: Run,
    context: ExecutionContext,
    request: ChatRequest,
    response: ChatResponse,
    error: BaseException | None,
    *,
    first: float | None,
    secrets: Iterable[str],
) -> dict[str, Any]:
    """The data of `agent_complete`; `first` is when the first chunk came, monotonic."""
    began = run.started
    return {
        "request_id": context.request_id,
        "session_id": context.session_id,
        "user_id": context.user_id,
        "agent_id": context.agent_id,
        "run_id": run.id,
        "provider": response.provider,
        "model": response.model or request.model,
        "input": _asked(request),
        "output": response.text,
        "finish_reason": str(response.finish_reason),
        "usage": _usage(response.usage),
        "seconds": time.monotonic() - began,
        "first_chunk_seconds": None if first is None else first - began,
        "error": None if error is None else type(error).__name__,
        "error_message": None if error is None else describe(error, secrets),
    }


def call_ended(
    call: ChatCall,
    began: float,
    first: float | None,
    response: ChatResponse | None,
    error: BaseException | None,
    secrets: Iterable[str],
) -> dict[str, Any]:
    """The data of `model_complete` for a chat; times are monotonic."""
    context, run = call.context, current_run.get()
    reason = response.finish_reason if response is not None else _reason(error)
    return {
        "request_id": context.request_id,
        "session_id": context.session_id,
        "user_id": context.user_id,
        "agent_id": context.agent_id,
        "run_id": None if run is None else run.id,
        "operation": "chat",
        "provider": call.provider,
        "model": (response.model if response is not None else "") or call.request.model,
        "request_model": call.request.model,
        "finish_reason": str(reason),
        "usage": _usage(response.usage) if response is not None else None,
        "seconds": time.monotonic() - began,
        "first_chunk_seconds": first - began if first is not None and call.stream else None,
        "error": None if error is None else type(error).__name__,
        "error_message": None if error is None else describe(error, secrets),
    }


def embedding_ended(
    call: EmbedCall,
    began: float,
    response: EmbeddingResponse | None,
    error: BaseException | None,
    secrets: Iterable[str],
) -> dict[str, Any]:
    """The data of `model_complete` for an embedding."""
    context, run = call.context, current_run.get()
    return {
        "request_id": context.request_id,
        "session_id": context.session_id,
        "user_id": context.user_id,
        "agent_id": context.agent_id,
        "run_id": None if run is None else run.id,
        "operation": "embed",
        "provider": call.provider,
        "model": (response.model if response is not None else "") or call.request.model,
        "request_model": call.request.model,
        "finish_reason": None,
        "usage": _usage(response.usage) if response is not None else None,
        "seconds": time.monotonic() - began,
        "first_chunk_seconds": None,
        "error": None if error is None else type(error).__name__,
        "error_message": None if error is None else describe(error, secrets),
    }


def _asked(request: ChatRequest) -> str:
    """The text of the latest message that is a user's."""
    for message in reversed(request.messages):
        if message.role is MessageRole.USER:
            return message.text
    return ""


def _usage(usage: Usage | None) -> dict[str, int] | None:
    """The counts that are known."""
    if usage is None:
        return None
    known = ((name, getattr(usage, name)) for name in COUNTS)
    return {name: count for name, count in known if count is not None}


def _reason(error: BaseException | None) -> FinishReason:
    cancelled = isinstance(error, asyncio.CancelledError)
    return FinishReason.CANCELLED if cancelled else FinishReason.ERROR
