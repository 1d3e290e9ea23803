"""One turn, from the request to the messages that are kept.

A turn runs in a task that the kernel owns. Whoever reads its stream looks through a bounded window
into it, so that neither a reader that goes away nor one that is slow can harm what the turn has to
do: close the upstream connection, keep what came, let the session's next turn begin.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

import structlog

from dovetail.chat.accumulator import StreamingAccumulator
from dovetail.chat.answer import Answer
from dovetail.chat.fitting import assemble
from dovetail.chat.near_models import name_near_models
from dovetail.chat.responses import FinishReason
from dovetail.chat.runs import SessionStatus, current_run
from dovetail.chat.telling import AGENT_COMPLETE, AGENT_START, turn_began, turn_ended
from dovetail.chat.transcript import kept_messages, new_messages, said
from dovetail.context import set_current_context
from dovetail.errors import (
    DependencyError,
    DovetailError,
    ModelNotFound,
    PluginError,
    ProviderError,
    SessionConflict,
    SessionError,
)
from dovetail.host.records import describe
from dovetail.middleware import ChatCall, TurnCall
from dovetail.redaction import scrub

if TYPE_CHECKING:
    from dovetail.chat.messages import ChatMessage
    from dovetail.chat.requests import ChatRequest
    from dovetail.chat.responses import ChatResponse
    from dovetail.chat.runs import Run
    from dovetail.chat.window import Window
    from dovetail.container import SmartDependencyContainer
    from dovetail.context import ExecutionContext
    from dovetail.host.generation import Generation
    from dovetail.sessions.manager import SessionManager
    from dovetail.sessions.session import Session

log = structlog.get_logger("dovetail")


class Turn:
    """One turn in flight."""

    __slots__ = (
        "_answer",
        "_asked",
        "_condensed",
        "_container",
        "_context",
        "_error",
        "_fenced",
        "_first",
        "_generation",
        "_made",
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
        container: SmartDependencyContainer | None = None,
    ) -> None:
        """`container` is given if the turn ends its context's scope: if the context is its own."""
        self._generation = generation
        self._sessions = sessions
        self._run = run
        self._request = request
        self._context = context
        self._window = window
        self._container = container
        self._session: Session | None = None
        """The session while this turn has it."""
        self._asked: tuple[ChatMessage, ...] = ()
        """What the host's request adds to the session."""
        self._new: tuple[ChatMessage, ...] = ()
        """The same of the request as middleware left it."""
        self._answer: Answer | None = None
        self._error: BaseException | None = None
        """What went wrong, once that is settled."""
        self._fenced = False
        """Whether it was given up; then it may keep nothing any more."""
        self._condensed = False
        self._made: Session | None = None
        """The session if this turn made it."""
        self._first: float | None = None
        """When its first chunk came, or its whole answer; monotonic."""
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
        await self._close_forgotten()
        if self._fenced:
            return response
        self._calm()
        self._run.commit()
        error = await self._commit(response, error)
        self.response, self._error = response, error
        if (
            self._made
            or self._generation.events.wants(AGENT_COMPLETE)
            or self._context.has_attached
        ):
            await self._wind_up(response, error)
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
        if isinstance(error, (ProviderError, SessionError)):
            error.response = response
        raise error

    def outcome(self, task: asyncio.Task[ChatResponse]) -> ChatResponse:
        """What a host gets of a turn that has ended.

        Raises:
            DovetailError: what went wrong.
        """
        if task.done():
            return (self.response or self._nothing()) if task.cancelled() else task.result()
        if self.response is None and self._run.commit_overdue:
            raise _not_kept(self._run.session_id, asyncio.CancelledError())
        error = self._error  # what else hangs takes nothing away from what was kept
        if error is None or (
            isinstance(error, asyncio.CancelledError) and self._run.cancel_requested
        ):
            return self.response or self._nothing()
        raise error

    async def salvage(self) -> None:
        """Keep what came of a turn whose task does not stop, and go on without it."""
        self._fenced = True
        stopped = asyncio.CancelledError()
        response = self._partial(stopped)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._generation.kernel.commit_timeout):
                await self._commit(response, stopped)
        self.response = response
        await self._wind_up(response, stopped)

    async def _attempt(self) -> tuple[ChatResponse, BaseException | None]:
        """The answer and None, or what had come of it and what ended it; never raises."""
        try:
            await self._begin()
            return await self._respond(), None
        except BaseException as raised:  # noqa: BLE001 - what came is kept whatever ended the turn
            error = self._meaning(raised)
        response = self._partial(error)
        if isinstance(error, asyncio.CancelledError) and _is_whole(response):
            return response, None  # it was stopped when there was nothing left to stop
        return response, error

    async def _begin(self) -> None:
        run = self._run
        current_run.set(run)
        events = self._generation.events
        if events.wants(AGENT_START):
            stream = self._window is not None
            data = turn_began(run, self._context, self._request, stream=stream)
            await events.dispatch(AGENT_START, data)
        if run.session_id is None:
            self._asked = self._new = said(self._request.messages)
            return
        if not run.cancel_requested:
            run.status = SessionStatus.WAITING
        session = await self._sessions.begin_turn(run.session_id, run.user_id)
        if self._fenced:  # it was given up while its store did not answer
            self._sessions.end_turn(session)
            raise asyncio.CancelledError
        self._session = run.session = session
        if not run.cancel_requested:
            run.status = SessionStatus.RUNNING
        self._asked = self._new = new_messages(session.history, self._request.messages)

    async def _respond(self) -> ChatResponse:
        window = self._window
        call = TurnCall(self._request, self._context, self._session, window is not None, self._ask)
        answer = await self._generation.call_turn(call)
        self._answer = self._checked(answer, "turn")
        self._first = time.monotonic()
        if window is None:
            return await answer.read()
        async with aclosing(answer.chunks()) as chunks:
            async for chunk in chunks:
                if not window.offer(chunk):
                    await window.room()
                if self._run.cancel_delivered:
                    # A provider that swallows cancellation goes on yielding: stop reading.
                    raise asyncio.CancelledError
        return answer.response

    async def _ask(self, call: TurnCall) -> Answer:
        """The innermost step of a turn: the model call with the history."""
        generation = self._generation
        self._new = self._asked
        if call.request is not self._request:
            history = call.session.history if call.session is not None else ()
            self._new = new_messages(history, call.request.messages)
        name, provider, model = generation.find_chat(call.request.model)
        request = await assemble(call, self._new, model, provider, generation.chat, self._condense)
        try:
            answer = await generation.call_chat(
                ChatCall(request, call.context, name, call.stream, call.session)
            )
        except ModelNotFound as error:
            await name_near_models(error, provider, name, model)
            raise
        return self._checked(answer, "chat")

    async def _condense(self, session: Session, request: ChatRequest) -> str:
        """The words of one more model call; the state that holds them is saved with the turn."""
        self._condensed = True
        name, _, model = self._generation.find_chat(self._request.model)
        asked = request.model_copy(update={"model": model})
        answer = await self._generation.call_chat(
            ChatCall(asked, self._context, name, stream=False, session=session)
        )
        return (await answer.read()).text

    def _checked(self, answer: object, operation: str) -> Answer:
        if isinstance(answer, Answer):
            return answer
        names = ", ".join(f"`{type(item).__name__}`" for item in self._generation.middleware)
        message = (
            f"a middleware's `{operation}` returned {type(answer).__name__} (one of {names}); "
            "it returns what `call_next` gave, or an `Answer`"
        )
        raise PluginError(message)

    def _meaning(self, error: BaseException) -> BaseException:
        """What to raise for what ended the turn: one of ours, or a cancel that was asked for."""
        if isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            if self._run.cancel_requested or task is None or task.cancelling():
                return error
            unasked = PluginError("a plugin cancelled the turn though nobody asked for it")
            unasked.__cause__ = error
            return unasked
        if isinstance(error, (DovetailError, KeyboardInterrupt)):
            return error
        scrub(error, self._generation.secrets)
        wrapped = PluginError(f"a plugin failed in the turn with {describe(error)}")
        wrapped.__cause__ = error
        return wrapped

    def _partial(self, error: BaseException) -> ChatResponse:
        """What had come when `error` ended the turn."""
        cancelled = isinstance(error, asyncio.CancelledError)
        reason = FinishReason.CANCELLED if cancelled else FinishReason.ERROR
        opened = self._run.answers
        answer = self._answer or (opened[-1] if opened else None)
        if answer is None:
            return StreamingAccumulator().response(finish=reason)
        response = answer.so_far(reason)
        if cancelled or response.finish_reason is FinishReason.ERROR:
            return response
        return response.model_copy(update={"finish_reason": reason})

    def _nothing(self) -> ChatResponse:
        """The response of a turn that was cancelled before it began."""
        return StreamingAccumulator().response(finish=FinishReason.CANCELLED)

    async def _commit(
        self, response: ChatResponse, error: BaseException | None
    ) -> BaseException | None:
        """Keep the turn's messages and let the next one begin; gives what went wrong, if anything.

        It is not cancelled any more, only limited in time.
        """
        session = self._session
        if session is None:
            return error
        try:
            messages = kept_messages(self._new, response, whole=error is None)
            if messages and await self._sessions.keep(session, messages):
                self._made = session
            if self._condensed:
                with suppress(SessionConflict):  # then the next turn makes another summary
                    await self._sessions.update_session(session)
        except BaseException as failure:
            # A store may raise anything, and its time may run out: neither must hide `error`.
            log.exception("a turn could not be kept", session_id=session.session_id)
            task = asyncio.current_task()
            torn_down = task is not None and task.cancelling() and not self._run.commit_overdue
            if isinstance(failure, asyncio.CancelledError) and torn_down:
                return error or failure
            return error or _not_kept(session.session_id, failure)
        finally:
            self.let_go()
        return error

    async def _wind_up(self, response: ChatResponse, error: BaseException | None) -> None:
        """Tell of what it made and of its end, and clean up what was built for its context.

        The turn has been kept; each event has the time of another commit.
        """
        run = self._run
        run.commit()
        try:
            if self._made is not None:
                await self._sessions.tell_created(self._made)
                run.commit()
            if self._generation.events.wants(AGENT_COMPLETE):
                await self._tell_end(response, error)
            if self._container is not None and self._context.has_attached:
                await self._container.end(self._context)
        except DependencyError:
            log.exception("what was built for a turn could not be cleaned up", run_id=run.id)
        except asyncio.CancelledError:
            if not run.commit_overdue:
                raise
            self._calm()
            log.error("winding up a turn took too long", run_id=run.id)  # noqa: TRY400 - the cancel is ours

    async def _tell_end(self, response: ChatResponse, error: BaseException | None) -> None:
        generation = self._generation
        data = turn_ended(
            self._run,
            self._context,
            self._request,
            response,
            error,
            first=self._first,
            secrets=generation.secrets,
        )
        await generation.events.dispatch(AGENT_COMPLETE, data)

    def let_go(self) -> None:
        """Let the session's next turn begin, if this one has it."""
        session, self._session = self._session, None
        if session is not None:
            self._sessions.end_turn(session)

    async def _close_forgotten(self) -> None:
        """Close the answers that providers gave and nobody read to the end; never raises."""
        for answer in self._run.answers:
            if answer.ended:
                continue
            try:
                await answer.aclose()
            except (Exception, asyncio.CancelledError):
                # A provider's clean-up may raise anything, and a cancel may come: the turn ends.
                log.exception("a provider failed to close its stream", provider=answer.provider)

    def _calm(self) -> None:
        """Take back the cancels that ended the turn: the commit must not see them."""
        task = asyncio.current_task()
        while task is not None and task.cancelling():
            task.uncancel()


def _is_whole(response: ChatResponse) -> bool:
    return response.finish_reason not in (FinishReason.CANCELLED, FinishReason.ERROR)


def _not_kept(session_id: str | None, failure: BaseException) -> SessionError:
    why = "its store took too long" if isinstance(failure, asyncio.CancelledError) else failure
    error = SessionError(
        f"the answer was given but could not be kept in session `{session_id}`: {why}"
    )
    error.__cause__ = failure
    return error
