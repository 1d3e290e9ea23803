"""One turn, from the request to the messages that are kept.

A turn runs in a task that the kernel owns. Whoever reads its stream looks through a bounded window
into it, so that neither a reader that goes away nor one that is slow can harm what the turn has to
do: close the upstream connection, keep what came, let the session's next turn begin.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

import structlog

from dovetail.chat.accumulator import StreamingAccumulator
from dovetail.chat.fitting import assemble
from dovetail.chat.responses import FinishReason
from dovetail.chat.runs import SessionStatus, current_run
from dovetail.chat.transcript import kept_messages, new_messages, said
from dovetail.config.nearest import nearest
from dovetail.context import set_current_context
from dovetail.errors import ModelNotFound, ProviderError, SessionConflict, SessionError
from dovetail.middleware import ChatCall, TurnCall

if TYPE_CHECKING:
    from dovetail.chat.answer import Answer
    from dovetail.chat.messages import ChatMessage
    from dovetail.chat.providers import Provider
    from dovetail.chat.requests import ChatRequest
    from dovetail.chat.responses import ChatResponse
    from dovetail.chat.runs import Run
    from dovetail.chat.window import Window
    from dovetail.context import ExecutionContext
    from dovetail.host.generation import Generation
    from dovetail.sessions.manager import SessionManager
    from dovetail.sessions.session import Session

log = structlog.get_logger("dovetail")

NEAR_SECONDS = 2.0
"""How long a provider may take to list its models for the sake of a better error."""


class Turn:
    """One turn in flight."""

    __slots__ = (
        "_answer",
        "_condensed",
        "_context",
        "_fenced",
        "_generation",
        "_new",
        "_request",
        "_run",
        "_session",
        "_sessions",
        "_window",
        "response",
    )

    def __init__(
        self,
        generation: Generation,
        sessions: SessionManager,
        run: Run,
        request: ChatRequest,
        context: ExecutionContext,
        window: Window | None,
    ) -> None:
        self._generation = generation
        self._sessions = sessions
        self._run = run
        self._request = request
        self._context = context
        self._window = window
        self._session: Session | None = None
        self._new: tuple[ChatMessage, ...] = ()
        self._answer: Answer | None = None
        self._fenced = False
        self._condensed = False
        self.response: ChatResponse | None = None
        """The answer, or what had come of it, once the turn has ended."""

    async def drive(self) -> ChatResponse:
        """The whole turn; runs in a task of its own.

        A turn that was cancelled gives what had come, with the finish reason `cancelled`.

        Raises:
            DovetailError: what went wrong; what had come was kept.
        """
        set_current_context(self._context)
        response, error = await self._attempt()
        if self._fenced:
            return response
        self.response = response
        self._calm()
        await self._close_forgotten()
        error = await self._commit(response, error)
        if self._window is not None:
            self._window.close()
        # Whoever waits is told here: by the task's own callback it would cost a turn of the loop.
        if error is None:
            self._run.finish()
            return response
        if isinstance(error, asyncio.CancelledError):
            self._run.end(SessionStatus.CANCELLED)
            if self._run.cancel_requested:
                return response
            raise error
        self._run.end(SessionStatus.FAILED)
        if isinstance(error, ProviderError):
            error.response = response
        raise error

    async def _attempt(self) -> tuple[ChatResponse, BaseException | None]:
        """The answer and None, or what had come of it and what ended it."""
        try:
            await self._begin()
            response = await self._respond()
        except BaseException as error:  # noqa: BLE001 - what came is kept whatever ended the turn
            return self._partial(error), error
        return response, None

    def nothing(self) -> ChatResponse:
        """The response of a turn that was cancelled before it began."""
        return StreamingAccumulator().response(finish=FinishReason.CANCELLED)

    async def salvage(self) -> None:
        """Keep what came of a turn whose task does not stop, and go on without it."""
        self._fenced = True
        self.response = self._partial(asyncio.CancelledError())
        await self._commit(self.response, None)
        self._run.end(SessionStatus.STUCK)
        if self._window is not None:
            self._window.close()

    async def _begin(self) -> None:
        run, session_id = self._run, self._context.session_id
        current_run.set(run)
        if run.session_id is None or session_id is None:
            self._new = said(self._request.messages)
            return
        run.status = SessionStatus.WAITING
        self._session = await self._sessions.begin_turn(session_id, self._context.user_id)
        if not run.cancel_requested:
            run.status = SessionStatus.RUNNING
        self._new = new_messages(self._session.history, self._request.messages)

    async def _respond(self) -> ChatResponse:
        window = self._window
        call = TurnCall(self._request, self._context, self._session, window is not None, self._ask)
        self._answer = answer = await self._generation.call_turn(call)
        if window is None:
            return await answer.read()
        async with aclosing(answer.chunks()) as chunks:
            async for chunk in chunks:
                if not window.offer(chunk):
                    await window.room()
                if self._run.cancel_requested:
                    # A provider that swallows cancellation goes on yielding: stop reading.
                    raise asyncio.CancelledError
        return answer.response

    async def _ask(self, call: TurnCall) -> Answer:
        """The innermost step of a turn: the model call with the history."""
        generation = self._generation
        if call.request is not self._request and call.session is not None:
            self._new = new_messages(call.session.history, call.request.messages)
        name, provider, model = generation.find_chat(call.request.model)
        request = await assemble(call, self._new, model, provider, generation.chat, self._condense)
        try:
            return await generation.call_chat(
                ChatCall(request, call.context, name, call.stream, call.session)
            )
        except ModelNotFound as error:
            await name_near_models(error, provider, name, model)
            raise

    async def _condense(self, session: Session, request: ChatRequest) -> str:
        """The words of one more model call; the state that holds them is saved with the turn."""
        self._condensed = True
        name, _, model = self._generation.find_chat(self._request.model)
        asked = request.model_copy(update={"model": model})
        answer = await self._generation.call_chat(
            ChatCall(asked, self._context, name, stream=False, session=session)
        )
        return (await answer.read()).text

    def _partial(self, error: BaseException) -> ChatResponse:
        """What had come when `error` ended the turn."""
        cancelled = isinstance(error, asyncio.CancelledError)
        reason = FinishReason.CANCELLED if cancelled else FinishReason.ERROR
        answer = self._answer
        if answer is not None and answer.complete:
            response = answer.response
            if cancelled or response.finish_reason is FinishReason.ERROR:
                return response
            return response.model_copy(update={"finish_reason": reason})
        if answer is not None and answer.accumulator is not None:
            return answer.accumulator.partial(reason, provider=answer.provider, model=answer.model)
        return StreamingAccumulator().response(finish=reason)

    async def _commit(
        self, response: ChatResponse, error: BaseException | None
    ) -> BaseException | None:
        """Keep the turn's messages and let the next one begin; it cannot be cancelled any more."""
        self._run.commit()
        session = self._session
        if session is None:
            return error
        try:
            messages = kept_messages(self._new, response, whole=error is None)
            if messages:
                await self._sessions.keep(session, messages)
            if self._condensed:
                with suppress(SessionConflict):  # then the next turn makes another summary
                    await self._sessions.update_session(session)
            await self._sessions.end_turn(session.session_id)
        except BaseException as failure:  # a store may raise anything, and must not hide `error`
            log.exception("a turn could not be kept", session_id=session.session_id)
            self._sessions.abandon_turn(session.session_id)
            if isinstance(failure, asyncio.CancelledError) and not self._run.commit_overdue:
                raise  # the loop is being torn down
            return error or _not_kept(session, failure)
        return error

    async def _close_forgotten(self) -> None:
        """Close the answers that providers gave and nobody read to the end."""
        for answer in self._run.answers:
            if answer.ended:
                continue
            try:
                await answer.aclose()
            except Exception:  # a provider's clean-up may raise anything; the turn must end
                log.exception("a provider failed to close its stream", provider=answer.provider)

    def _calm(self) -> None:
        """Take back the cancels that ended the turn: the commit must not see them."""
        task = asyncio.current_task()
        while task is not None and task.cancelling():
            task.uncancel()


async def name_near_models(
    error: ModelNotFound, provider: Provider, instance: str, model: str
) -> None:
    """Add to an error the models of the instance whose names are near; best effort."""
    if error.details.nearest:
        return
    try:
        async with asyncio.timeout(NEAR_SECONDS):
            known = [info.id for info in await provider.models()]
    except Exception:  # the error at hand matters more than why there is no list
        log.debug("no list of models for a suggestion", provider=instance, exc_info=True)
        return
    near = nearest(model, known)
    error.complete(nearest=tuple(f"{instance}/{name}" for name in ([near] if near else known[:5])))


def _not_kept(session: Session, failure: BaseException) -> SessionError:
    why = "its store took too long" if isinstance(failure, asyncio.CancelledError) else failure
    error = SessionError(
        f"the answer was given but could not be kept in session `{session.session_id}`: {why}"
    )
    error.__cause__ = failure
    return error
