"""Runs in flight and their cancellation.

A run is one turn in flight; a session is the conversation it belongs to. Cancelling asks the run's
task to stop, asks again after a grace time, and then reports the run as stuck. From the moment a
run commits what came it cannot be cancelled any more.
"""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from enum import StrEnum
from typing import TYPE_CHECKING

import structlog

from dovetail.errors import KernelBusy, SessionForbidden
from dovetail.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from dovetail.chat.answer import Answer
    from dovetail.sessions.session import Session

log = structlog.get_logger("dovetail")

REMEMBERED = 1024
"""How many ended runs `get_session_status` still knows at least."""


class SessionStatus(StrEnum):
    """Where a run is."""

    WAITING = "waiting"
    """It waits for its session."""
    RUNNING = "running"
    CANCELLING = "cancelling"
    COMMITTING = "committing"
    """The answer is complete and being kept."""
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"
    STUCK = "stuck"
    """It was asked to stop twice and has not."""
    UNKNOWN = "unknown"
    """No such run or session, or too long ago."""


class Run:
    """One turn in flight."""

    __slots__ = (
        "_id",
        "_loop",
        "_manager",
        "_salvage",
        "_timer",
        "_waiters",
        "active",
        "answered",
        "answers",
        "cancel_delivered",
        "cancel_requested",
        "commit_overdue",
        "committing_since",
        "on_done",
        "on_end",
        "on_lost",
        "on_stuck",
        "parent",
        "session",
        "session_id",
        "stage",
        "started",
        "status",
        "task",
        "told",
        "user_id",
    )

    def __init__(
        self, manager: ChatSessionManager, session_id: str | None, user_id: str | None, stage: str
    ) -> None:
        self._manager = manager
        self._id: str | None = None
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self.session_id = session_id
        self.user_id = user_id
        self.stage = stage
        self.started = time.monotonic()
        self.status = SessionStatus.RUNNING
        self.active = True
        """Whether it has not ended."""
        self.answers: list[Answer] = []
        """What it opened at providers; whatever a middleware forgets is closed with the run."""
        self.task: asyncio.Task[object] | None = None
        self.answered = False
        """Whether its answer is kept; from then on whoever reads it may go without harm."""
        self.told = False
        """Whether those who wait were told that it is there, before the run has ended."""
        self.cancel_requested = False
        self.cancel_delivered = False
        """Whether its task was told to stop: if it goes on, something swallowed that."""
        self.commit_overdue = False
        """Whether its commit was broken off for taking too long."""
        self.committing_since = 0.0
        self.session: Session | None = None
        """The session while the run has it."""
        self.parent: Run | None = None
        """The run that began this one, for as long as this one lasts."""
        self.on_end: Callable[[], None] | None = None
        """Called when it ends, in whatever way."""
        self.on_done: Callable[[], None] | None = None
        """Called when its task is done, which for a stuck run may be long after its end."""
        self.on_stuck: Callable[[], Coroutine[None, None, None]] | None = None
        """Keeps what came of a run that does not stop."""
        self.on_lost: Callable[[], None] | None = None
        """Called when it cannot even keep what came."""

    @property
    def id(self) -> str:
        """The run's id, made when first asked for."""
        if self._id is None:
            self._id = new_id()
        return self._id

    def attach(self, task: asyncio.Task[object]) -> None:
        """Let `task` be what the run does; the run ends when the task does.

        The end is seen by a callback: a task cancelled before its first step runs no `finally`.
        """
        self.task = task
        task.add_done_callback(self._task_done)

    def cancel(self) -> bool:
        """Ask it to stop. False if it has ended, or is past the point where it can be stopped."""
        if self.status not in (SessionStatus.WAITING, SessionStatus.RUNNING):
            return self.status is SessionStatus.CANCELLING
        self.cancel_requested = True
        self.status = SessionStatus.CANCELLING
        # Not at once: a cancel from inside the task itself would be delivered at its next await,
        # which may be in the commit.
        self._loop.call_soon(self._deliver)
        self._timer = self._loop.call_later(self._manager.cancel_grace, self._insist)
        return True

    def commit(self) -> None:
        """From here on it cannot be cancelled; its manager limits the time it may take."""
        self.status = SessionStatus.COMMITTING
        self.committing_since = time.monotonic()
        if self._timer is not None:
            self._timer.cancel()

    def answer(self, *, told: bool) -> None:
        """Its answer is kept, and stages follow, which can be cancelled; `told` wakes who waits."""
        self.answered, self.told = True, told and not self._manager.closing
        if self.status is SessionStatus.COMMITTING:
            self.status = SessionStatus.RUNNING
        if self.told:
            self._wake()

    def overdue(self) -> None:
        """Break off a commit that takes too long; the second time, go on without it."""
        if self.commit_overdue:
            log.error("a run does not end: keeping it hangs", run_id=self.id)
            if self.on_lost is not None:
                self.on_lost()
            self.end(SessionStatus.STUCK)
        elif self.task is not None:
            self.commit_overdue = True
            self.committing_since = time.monotonic()
            self.task.cancel()

    async def wait(self) -> None:
        """Wait for its end, or for its answer if stages go on in the background, or until stuck.

        Being cancelled here does not touch the run.
        """
        if self.active and not self.told:
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except BaseException:
                self._waiters.remove(waiter)
                raise

    def finish(self) -> None:
        """Its task is at its end, and all went well: what a callback would do later is done now."""
        if self.task is not None:
            self.task.remove_done_callback(self._task_done)
        self._let_go()
        self.end(SessionStatus.COMPLETED)

    def end(self, status: SessionStatus) -> None:
        """Note the end and wake whoever waits; the first call counts."""
        if not self.active:
            return
        self.status = status
        self.active = False
        if self._timer is not None:
            self._timer.cancel()
        self._wake()
        self._manager.forget(self)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        if self.on_end is not None:
            self.on_end()

    def _deliver(self) -> None:
        if self.status is SessionStatus.CANCELLING and self.task is not None:
            self.cancel_delivered = True
            self.task.cancel()

    def _insist(self) -> None:
        if self.status is SessionStatus.CANCELLING:
            self._deliver()
            self._timer = self._loop.call_later(self._manager.cancel_grace, self._give_up)

    def _give_up(self) -> None:
        if self.status is not SessionStatus.CANCELLING:
            return
        log.error(
            "a run does not stop: a plugin swallows cancellation",
            run_id=self.id,
            session_id=self.session_id,
        )
        if self.on_stuck is None:
            self.end(SessionStatus.STUCK)
        else:
            self._salvage = self._loop.create_task(self.on_stuck())
            self._salvage.add_done_callback(lambda _: self.end(SessionStatus.STUCK))

    def _let_go(self) -> None:
        # Broken here, these cycles cost nothing; left to the garbage collector, a third of a turn.
        on_done, self.on_done, self.on_stuck, self.task = self.on_done, None, None, None
        self.answers, self.parent, self.on_lost, self.session = [], None, None, None
        if on_done is not None:
            on_done()

    def _task_done(self, task: asyncio.Task[object]) -> None:
        self._manager.release(self)
        self._let_go()
        if task.cancelled():
            self.end(SessionStatus.CANCELLED)
        elif task.exception() is not None:
            self.end(SessionStatus.FAILED)
        else:
            self.end(SessionStatus.CANCELLED if self.cancel_requested else SessionStatus.COMPLETED)


current_run: ContextVar[Run | None] = ContextVar("dovetail_run", default=None)
"""The run whose task this is, or that started it."""


class ChatSessionManager:
    """The runs in flight, by run and by session."""

    def __init__(
        self,
        *,
        cancel_grace: float = 2.0,
        commit_timeout: float = 10.0,
        max_runs: int = 10_000,
    ) -> None:
        self.cancel_grace = cancel_grace
        self.commit_timeout = commit_timeout
        self.max_runs = max_runs
        self.closing = False
        self._watch: asyncio.TimerHandle | None = None
        self._runs: set[Run] = set()
        self._stuck: set[Run] = set()
        """Runs that were given up and whose tasks still have not ended."""
        self._ended: dict[tuple[str | None, str], SessionStatus] = {}
        self._ended_before = self._ended
        """The `REMEMBERED` that had ended before those."""

    def register_session(
        self,
        task: asyncio.Task[object] | None = None,
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        stage: str = "response",
    ) -> Run:
        """Take a run in. Without `task` the caller attaches one.

        Raises:
            KernelBusy: `max_runs` are in flight.
        """
        if len(self._runs) + len(self._stuck) >= self.max_runs:
            message = f"{self.max_runs} turns are in flight, the limit `max_turns` of [kernel]"
            raise KernelBusy(message)
        run = Run(self, session_id, user_id, stage)
        self._runs.add(run)
        if self._watch is None:
            self._look_later()
        if task is not None:
            run.attach(task)
        return run

    def cancel_session(self, id_: str, *, user_id: str | None = None) -> bool:
        """Stop the run of this id, or every run of this session.

        Returns at once, with whether anything was asked to stop; `Run.wait` waits.

        Raises:
            SessionForbidden: it is another user's.
        """
        return any([run.cancel() for run in self._find(id_, user_id)])  # noqa: C419 - all are asked

    def get_session_status(self, id_: str, *, user_id: str | None = None) -> SessionStatus:
        """Where the run of this id is, or the latest run of this session."""
        found = self._find(id_, user_id)
        if found:
            return max(found, key=lambda run: run.started).status
        ended = {**self._ended_before, **self._ended}
        status = ended.get((user_id, id_))
        if status is None and any(known == id_ for _, known in ended):
            raise SessionForbidden(_not_yours(id_))
        return status or SessionStatus.UNKNOWN

    def get_active_session_count(self) -> int:
        """How many runs are in flight."""
        return len(self._runs)

    def runs(self) -> list[Run]:
        """The runs in flight, oldest first."""
        return sorted(self._runs, key=lambda run: run.started)

    async def close(self, patience: float = 0) -> None:
        """End every run; those that are stuck are asked once more.

        What is past its answer has `patience` seconds to end by itself.
        """
        self.closing, runs = True, self.runs()
        after = [run.task for run in runs if run.task and (run.answered or not run.cancel())]
        if after and patience:
            await asyncio.wait(after, timeout=patience)
        for run in runs:
            run.cancel()
            run.told = False
        await asyncio.gather(*(run.wait() for run in runs))
        stuck = [run.task for run in self._stuck if run.task is not None]
        for task in stuck:
            task.cancel()
        if stuck:
            await asyncio.wait(stuck, timeout=self.cancel_grace)
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def release(self, run: Run) -> None:
        """The task of a run that was given up has ended after all."""
        self._stuck.discard(run)

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._watch = loop.call_later(self.commit_timeout / 10, self._look_after_commits)

    def _look_after_commits(self) -> None:
        """Break off commits that take too long: one timer for all costs a turn nothing."""
        self._watch = None
        limit = time.monotonic() - self.commit_timeout
        for run in list(self._runs):
            if run.status is SessionStatus.COMMITTING and run.committing_since < limit:
                run.overdue()
        if self._runs:
            self._look_later()

    def forget(self, run: Run) -> None:
        """Take a run that ended out; its last status is remembered for a while."""
        self._runs.discard(run)
        if run.status is SessionStatus.STUCK and run.task is not None:
            self._stuck.add(run)
        for known in (run._id, run.session_id):  # noqa: SLF001 - asking for `id` would make one
            if known is not None:
                self._ended[run.user_id, known] = run.status
        if len(self._ended) >= REMEMBERED:
            # All at once: one by one, each turn would wait for memory that nobody touched since.
            self._ended_before, self._ended = self._ended, {}

    def _find(self, id_: str, user_id: str | None) -> list[Run]:
        found = [run for run in self._runs if id_ in (run.session_id, run._id)]  # noqa: SLF001 - as above
        own = [run for run in found if run.user_id == user_id]
        if found and not own:
            raise SessionForbidden(_not_yours(id_))
        return own


def _not_yours(id_: str) -> str:
    return f"`{id_}` belongs to another user"
