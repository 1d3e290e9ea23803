"""What a turn comes to that did not end well, and what is said of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dovetail.chat.accumulator import StreamingAccumulator
from dovetail.chat.responses import FinishReason
from dovetail.errors import DovetailError, PluginError, ProviderError, SessionError, StageError
from dovetail.host.records import describe
from dovetail.redaction import scrub

if TYPE_CHECKING:
    from dovetail.chat.answer import Answer
    from dovetail.chat.responses import ChatResponse
    from dovetail.chat.runs import Run


def meaning(error: BaseException, run: Run, secrets: frozenset[str]) -> BaseException:
    """What to raise for what ended a turn: one of ours, or a cancel that was asked for."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        if run.cancel_requested or task is None or task.cancelling():
            return error
        unasked = PluginError("a plugin cancelled the turn though nobody asked for it")
        unasked.__cause__ = error
        return unasked
    if isinstance(error, (DovetailError, KeyboardInterrupt)):
        return error
    scrub(error, secrets)
    wrapped = PluginError(f"a plugin failed in the turn with {describe(error)}")
    wrapped.__cause__ = error
    return wrapped


def partial(answer: Answer | None, run: Run, error: BaseException) -> ChatResponse:
    """What had come when `error` ended a turn; `answer` is the turn's, if there was one."""
    cancelled = isinstance(error, asyncio.CancelledError)
    reason = FinishReason.CANCELLED if cancelled else FinishReason.ERROR
    answer = answer or (run.answers[-1] if run.answers else None)
    if answer is None:
        return StreamingAccumulator().response(finish=reason)
    response = answer.so_far(reason)
    if cancelled or response.finish_reason is FinishReason.ERROR:
        return response
    return response.model_copy(update={"finish_reason": reason})


def nothing() -> ChatResponse:
    """The response of a turn that was cancelled before it began."""
    return StreamingAccumulator().response(finish=FinishReason.CANCELLED)


def is_whole(response: ChatResponse) -> bool:
    """Whether it was not cut short."""
    return response.finish_reason not in (FinishReason.CANCELLED, FinishReason.ERROR)


def not_kept(session_id: str | None, failure: BaseException) -> SessionError:
    """What is said where an answer was given and could not be kept."""
    return _unsaved(
        f"the answer was given but could not be kept in session `{session_id}`", failure
    )


def state_not_kept(session_id: str | None, failure: BaseException) -> SessionError:
    """What is said where the answer is kept, and what the stages changed is not."""
    return _unsaved(
        f"the answer is kept, but not what the stages changed in the state of session "
        f"`{session_id}`",
        failure,
    )


def stage_failed(error: BaseException) -> BaseException:
    """`error`, or one around it that can hold the answer that was given before."""
    holds = (ProviderError, SessionError, StageError)
    if not isinstance(error, DovetailError) or isinstance(error, holds):
        return error
    failed = StageError(f"a stage after the answer failed: {error}")
    failed.__cause__ = error
    return failed


def _unsaved(what: str, failure: BaseException) -> SessionError:
    why = "its store took too long" if isinstance(failure, asyncio.CancelledError) else failure
    error = SessionError(f"{what}: {why}")
    error.__cause__ = failure
    return error
