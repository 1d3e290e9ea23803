"""The stages of a turn, run."""

from __future__ import annotations

import asyncio
import time
from itertools import groupby
from typing import TYPE_CHECKING, Any

import structlog

from dovetail.errors import DovetailError, StageError
from dovetail.host.records import describe
from dovetail.middleware import Middleware, StageCall, compose
from dovetail.pipeline.executor import InProcessRunner, StageExecutor, StageRunner
from dovetail.pipeline.stage import Stage
from dovetail.pipeline.turn import StageResult, Turn
from dovetail.redaction import scrub

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dovetail.events.dispatcher import EventDispatcher
    from dovetail.host.options import PipelineOptions

log = structlog.get_logger("dovetail")

STAGE_START = "stage_start"
STAGE_COMPLETE = "stage_complete"


class Pipeline:
    """The executors of one generation, by stage, composed with the middleware around them."""

    def __init__(
        self,
        executors: Iterable[StageExecutor],
        middleware: Sequence[Middleware],
        options: PipelineOptions,
        events: EventDispatcher,
        *,
        runner: StageRunner | None = None,
        secrets: Iterable[str] = (),
    ) -> None:
        self.options = options
        self._events = events
        self._runner = runner or InProcessRunner()
        self._secrets = frozenset(secrets)
        ordered = sorted(executors, key=lambda executor: executor.priority)
        self._groups = {
            stage: [
                list(group)
                for _, group in groupby(
                    (e for e in ordered if e.stage is stage), key=lambda e: e.priority
                )
            ]
            for stage in Stage
        }
        self._all = {
            s: [e for group in groups for e in group] for s, groups in self._groups.items()
        }
        self._step = compose(middleware, "stage", self._work)
        self.before = any(self._groups[s] for s in (Stage.TEMPLATE, Stage.PRE_RESPONSE))
        """Whether anything works before the answer."""
        self.after = any(self._groups[s] for s in (Stage.POST_RESPONSE, Stage.POST_RESPONSE_AI))
        """Whether anything works after it."""

    def idle(self, stage: Stage, turn: Turn) -> bool:
        """Whether nobody has anything to do in `stage`."""
        for executor in self._all[stage]:  # noqa: SIM110 - a generator would cost as much again
            if not executor.idle(turn):
                return False
        return True

    async def run(self, stage: Stage, turn: Turn) -> None:
        """Have every executor of `stage` do its work, within `stage_timeout`.

        Raises:
            StageError: one that is required failed, or did not end in time.
        """
        if self.idle(stage, turn):
            return
        groups = self._groups[stage]
        if self._events.wants(STAGE_START):
            names = [executor.name for group in groups for executor in group]
            await turn.tell(STAGE_START, {**_ids(turn), "stage": stage.label, "executors": names})
        began = time.monotonic()
        failure: BaseException | None = None
        try:
            await self._step(StageCall(stage, turn, turn.context))
            _stop_if_cancelled()
        except BaseException as error:
            failure = error
            raise
        finally:
            if self._events.wants(STAGE_COMPLETE) and not isinstance(failure, GeneratorExit):
                await self._tell_end(stage, turn, time.monotonic() - began, failure)

    async def _tell_end(
        self, stage: Stage, turn: Turn, seconds: float, failure: BaseException | None
    ) -> None:
        failed = [result.executor for result in turn.results.get(stage, ()) if result.error]
        data = {
            **_ids(turn),
            "stage": stage.label,
            "seconds": seconds,
            "failed": failed,
            "prompt": turn.prompts.get_prompt_for_stage(stage) if stage < Stage.RESPONSE else None,
            "error": type(failure).__name__ if failure else None,
            "error_message": describe(failure, self._secrets) if failure else None,
        }
        await turn.tell(STAGE_COMPLETE, data)

    async def _work(self, call: StageCall) -> None:
        """Every group in turn; the innermost step of the operation `stage`."""
        limit = self.options.stage_timeout
        waiting = [executor for group in self._groups[call.stage] for executor in group]
        timer = asyncio.timeout(limit)
        try:
            async with timer:
                for group in self._groups[call.stage]:
                    await self._together(group, call.turn, waiting)
                    _stop_if_cancelled()
        except TimeoutError as error:
            if not timer.expired():
                raise
            late = TimeoutError(f"the stage took longer than {limit:g} s")
            for executor in waiting:
                self._failed(executor, call.turn, late, limit)
            if any(executor.required for executor in waiting):
                raise StageError(
                    f"the stage {call.stage.label} {late}", stage=call.stage
                ) from error

    async def _together(
        self, group: list[StageExecutor], turn: Turn, waiting: list[StageExecutor]
    ) -> None:
        if len(group) == 1:
            await self._one(group[0], turn, waiting)
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                for executor in group:
                    tasks.create_task(self._one(executor, turn, waiting))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors  # one that is required failed

    async def _one(self, executor: StageExecutor, turn: Turn, waiting: list[StageExecutor]) -> None:
        began = time.monotonic()
        try:
            value: Any = await self._runner.run(executor, turn)
        except (Exception, asyncio.CancelledError) as error:
            _stop_if_cancelled(error)
            waiting.remove(executor)
            self._failed(executor, turn, error, time.monotonic() - began)
            if executor.required or isinstance(error, StageError):
                if isinstance(error, DovetailError):
                    raise
                scrub(error, self._secrets)
                words = describe(error, self._secrets)
                message = f"`{executor.name}`, which is required, failed: {words}"
                raise StageError(message, stage=executor.stage) from error
        else:
            waiting.remove(executor)
            seconds = time.monotonic() - began
            result = StageResult(executor.stage, executor.name, seconds, value=value)
            turn.results.setdefault(executor.stage, []).append(result)

    def _failed(
        self, executor: StageExecutor, turn: Turn, error: BaseException, seconds: float
    ) -> None:
        log.error(
            "a stage's executor failed",
            executor=executor.name,
            stage=executor.stage.label,
            error=describe(error, self._secrets),
        )
        result = StageResult(executor.stage, executor.name, seconds, error)
        turn.results.setdefault(executor.stage, []).append(result)


def _stop_if_cancelled(error: BaseException | None = None) -> None:
    """Go no further if the task was told to stop, whatever became of that: plugins swallow it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        if isinstance(error, asyncio.CancelledError):
            raise error
        raise asyncio.CancelledError from error


def _ids(turn: Turn) -> dict[str, Any]:
    context = turn.context
    return {
        "request_id": context.request_id,
        "session_id": context.session_id,
        "user_id": context.user_id,
        "agent_id": context.agent_id,
        "persona_id": turn.persona_id or None,
    }
