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

from dovetail.chat.answer import Answer
from dovetail.chat.closing import close_forgotten
from dovetail.chat.fitting import assemble
from dovetail.chat.near_models import name_near_models
from dovetail.chat.outcomes import (
    is_whole,
    meaning,
    not_kept,
    nothing,
    partial,
    stage_failed,
    state_not_kept,
)
from dovetail.chat.runs import SessionStatus, current_run
from dovetail.chat.staging import Staging
from dovetail.chat.telling import AGENT_COMPLETE, tell_end, tell_start
from dovetail.chat.transcript import kept_messages, new_messages, said
from dovetail.context import set_current_context
from dovetail.errors import (
    DependencyError,
    ModelNotFound,
    PluginError,
    ProviderError,
    SessionConflict,
    SessionError,
    StageError,
)
from dovetail.middleware import ChatCall, TurnCall

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


class TurnTask:
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
        "_kept",
        "_made",
        "_new",
        "_request",
        "_run",
        "_session",
        "_sessions",
        "_staging",
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
        self._kept = False
        """Whether its messages are kept; then the answer is not cancelled any more."""
        self._staging: Staging | None = None
        """The stages around the answer, if there are any."""
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
        await close_forgotten(self._run.answers)
        if self._fenced:
            return response
        try:
            error = await self._keep(response, error)
            self.response = response
            if self._staging is not None and error is None:
                error = await self._after(self._staging, response)
                await close_forgotten(self._run.answers)
            self._error = error
        finally:
            self.let_go()
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
        if isinstance(error, (ProviderError, SessionError, StageError)):
            error.response = response
        raise error

    def outcome(self, task: asyncio.Task[ChatResponse]) -> ChatResponse:
        """What a host gets of a turn that has ended.

        Raises:
            DovetailError: what went wrong.
        """
        if task.done():
            return (self.response or nothing()) if task.cancelled() else task.result()
        if self.response is None and self._run.commit_overdue:
            raise not_kept(self._run.session_id, asyncio.CancelledError())
        error = self._error  # what else hangs takes nothing away from what was kept
        if error is None or (
            isinstance(error, asyncio.CancelledError) and self._run.cancel_requested
        ):
            return self.response or nothing()
        raise error

    async def salvage(self) -> None:
        """Keep what came of a turn whose task does not stop, and go on without it."""
        self._fenced = True
        stopped = asyncio.CancelledError()
        response = self.response or partial(self._answer, self._run, stopped)
        try:
            if not self._kept:
                async with asyncio.timeout(self._generation.kernel.commit_timeout):
                    await self._keep(response, stopped)
        except TimeoutError:
            log.exception("a turn that was given up could not be kept", run_id=self._run.id)
        finally:
            self.let_go()
        self.response = response
        await self._wind_up(response, stopped)

    async def _attempt(self) -> tuple[ChatResponse, BaseException | None]:
        """The answer and None, or what had come of it and what ended it; never raises."""
        try:
            await self._begin()
            return await self._respond(), None
        except BaseException as raised:  # noqa: BLE001 - what came is kept whatever ended the turn
            error = meaning(raised, self._run, self._generation.secrets)
        response = partial(self._answer, self._run, error)
        if isinstance(error, asyncio.CancelledError) and is_whole(response):
            return response, None  # it was stopped when there was nothing left to stop
        return response, error

    async def _begin(self) -> None:
        run = self._run
        current_run.set(run)
        stream = self._window is not None
        await tell_start(self._generation, run, self._context, self._request, stream=stream)
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
        if generation.staged or call.request.persona_id:
            if self._staging is not None:
                self._staging.take_back()
            self._staging = Staging(generation, self._run, self._sessions, call)
            call.request = await self._staging.before_answer()
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

    async def _after(self, staging: Staging, response: ChatResponse) -> BaseException | None:
        """The stages after the answer, which is kept; gives what went wrong, if anything.

        A cancel ends the stages, and nothing else.
        """
        error: BaseException | None = None
        try:
            await staging.after_answer(response)
        except BaseException as raised:  # noqa: BLE001 - the state is saved whatever ended them
            error = stage_failed(meaning(raised, self._run, self._generation.secrets))
        self._calm()
        self._run.commit()
        try:
            await staging.save(self._session, condensed=self._condensed)
        except (Exception, asyncio.CancelledError) as failure:
            # Whatever a store raises; and a cancel comes only if this takes too long.
            self._calm()
            log.exception("the state of a session could not be saved", run_id=self._run.id)
            return error or state_not_kept(self._run.session_id, failure)
        return None if isinstance(error, asyncio.CancelledError) else error

    async def _keep(
        self, response: ChatResponse, error: BaseException | None
    ) -> BaseException | None:
        """Keep the turn's messages; gives what went wrong, if anything.

        It is not cancelled any more, only limited in time.
        """
        self._calm()
        self._run.commit()
        session = self._session
        if session is None:
            self._kept = True
            return error
        try:
            messages = kept_messages(self._new, response, whole=error is None)
            if messages and await self._sessions.keep(session, messages):
                self._made = session
            self._kept = True
            with suppress(SessionConflict):  # then the next turn makes another summary
                if self._staging is None:
                    if self._condensed:
                        await self._sessions.update_session(session)
                elif messages and error is not None:  # no stages follow that change it further
                    await self._staging.save(session, condensed=self._condensed)
        except BaseException as failure:
            # A store may raise anything, and its time may run out: neither must hide `error`.
            log.exception("a turn could not be kept", session_id=session.session_id)
            task = asyncio.current_task()
            torn_down = task is not None and task.cancelling() and not self._run.commit_overdue
            if isinstance(failure, asyncio.CancelledError) and torn_down:
                return error or failure
            return error or not_kept(session.session_id, failure)
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
            await tell_end(
                self._generation,
                run,
                self._context,
                self._request,
                response,
                error,
                first=self._first,
            )
            if self._container is not None and self._context.has_attached:
                await self._container.end(self._context)
        except DependencyError:
            log.exception("what was built for a turn could not be cleaned up", run_id=run.id)
        except asyncio.CancelledError:
            if not run.commit_overdue:
                raise
            self._calm()
            log.error("winding up a turn took too long", run_id=run.id)  # noqa: TRY400 - the cancel is ours

    def let_go(self) -> None:
        """Let the session's next turn begin, if this one has it."""
        session, self._session = self._session, None
        if session is not None:
            self._sessions.end_turn(session)

    def _calm(self) -> None:
        """Take back the cancels that ended the turn: the commit must not see them."""
        task = asyncio.current_task()
        while task is not None and task.cancelling():
            task.uncancel()
