"""The engine `monty`: an interpreter of its own, in worker processes.

`pydantic_monty` is used from threads of ours: each waits for one worker. Its asynchronous pool has
threads that outlive the last answer for a moment, and a process that ends just then aborts.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dovetail_scripts.calls import BUILT_IN_CALLS, Refused
from dovetail_scripts.errors import Place, ScriptError, ScriptFailed, ScriptLimitReached, place_in
from dovetail_scripts.job import Stopped
from dovetail_scripts.left import left_by
from dovetail_scripts.monty_errors import FIRST_INPUT, cause_of, failure_of, no_worker
from dovetail_scripts.threads import ThreadedEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic_monty import FunctionSnapshot, Monty, MontySession, OSPolicy, SyncSnapshot

    from dovetail_scripts.job import Job, Order
    from dovetail_scripts.models import ScriptExecutionResult

GRACE = 1.0
"""Seconds past its time after which a worker that does not notice is killed."""
_LOOK_UPS = 1000

# Run after the script in its own interpreter: data leaves as JSON, as which nothing else passes.
_LEAVE = """
def __leave(everything):
    import json
    left = {}
    for name, value in everything.items():
        if not name.startswith('_'):
            try:
                left[name] = json.dumps(value, allow_nan=False)
            except Exception:
                left[name] = None
    return left
__leave(locals())
"""


class MontyEngine(ThreadedEngine):
    """A pool of workers. One that is killed or dies is replaced."""

    _pool: Monty | None = None

    def opened(self) -> None:
        """Start the first worker; others follow when they are needed."""
        from pydantic_monty import Monty

        pool = Monty(
            max_processes=self.most,
            feed_duration_limit_grace=GRACE,
            turn_duration_limit_grace=GRACE,
        )
        self._pool = pool.__enter__()

    def closed(self) -> None:
        """End the workers."""
        if self._pool is not None:
            self._pool.__exit__(None, None, None)
            self._pool = None

    def checked(self, job: Job) -> None:
        """Parse a script."""
        from pydantic_monty import MontyRuntimeError

        with self._session(job) as session:
            try:
                # Parsed whole, then ended by the line in front.
                session.feed_run(f"raise SystemExit\n{job.order.source}")
            except MontyRuntimeError as error:
                if isinstance(error.exception(), SystemExit):
                    return
                raise failure_of(error, job, shift=1) from None
            except Exception as error:  # noqa: BLE001 - sorted by what it says of the script
                raise failure_of(error, job, shift=1) from None

    def executed(self, job: Job) -> ScriptExecutionResult:
        """Run a script."""
        with self._session(job) as session:
            try:
                value = self._drive(job, session)
                left = session.feed_run(_LEAVE, print_callback=job.heard)
            except (Stopped, ScriptError):
                raise
            except Exception as error:  # noqa: BLE001 - as above
                raise failure_of(error, job) from cause_of(error, job)
        return left_by(job, left, value)

    @contextmanager
    def _session(self, job: Job) -> Iterator[MontySession]:
        order = job.order
        if self._pool is None:
            raise Stopped
        checkout = self._pool.checkout(
            script_name=order.name or "script",
            limits={
                "max_feed_duration_secs": order.limits.time,
                "max_memory": order.limits.memory * 1_000_000,
                "max_recursion_depth": order.limits.recursion,
                "max_suspensions": order.limits.calls + BUILT_IN_CALLS + _LOOK_UPS,
            },
            os_policy=_policy(order),
        )
        with ExitStack() as stack:
            try:
                session = stack.enter_context(checkout)
            except Exception as error:  # whatever keeps a process from starting
                raise no_worker(error, order) from error
            job.begin(session.worker_pid)
            stack.callback(job.end)
            yield session

    def _drive(self, job: Job, session: MontySession) -> Any:
        from pydantic_monty import FunctionSnapshot, MontyComplete, NameLookupSnapshot

        step = session.feed_start(
            job.order.source, inputs=dict(job.order.inputs), print_callback=job.heard
        )
        while not isinstance(step, MontyComplete):
            if isinstance(step, FunctionSnapshot):
                step = _call(job, step)
            elif isinstance(step, NameLookupSnapshot):
                known = job.order.calls.knows(step.variable_name)
                step = step.resume(value=_stand_in(step.variable_name)) if known else step.resume()
            else:
                message = "it awaits what is no call of a host function"
                raise ScriptFailed(message, place_in("", job.order.name, None))
        return step.output


def _call(job: Job, step: FunctionSnapshot) -> SyncSnapshot:
    """Answer a call, and give the next step."""
    from pydantic_monty import FutureSnapshot

    name, calls = str(step.function_name), job.order.calls
    if step.is_os_function and not name.endswith("sleep"):
        return step.resume_not_handled()
    try:
        if step.is_os_function:
            raise Refused("RuntimeError", "a script cannot sleep")
        if not calls.knows(name):
            raise Refused("NameError", calls.unknown(name))
        value = job.ask(name, step.args, step.kwargs)
    except Refused as refused:
        return step.resume({"exc_type": refused.kind, "message": refused.message})
    except ScriptLimitReached as error:
        raise type(error)(error.message, _place(job.order, step), job.output) from None
    if not step.allow_eager_await:
        return step.resume({"return_value": value})
    # Written with `await`: it gets a future, which is there at once.
    awaited = step.resume({"future": ...})
    if isinstance(awaited, FutureSnapshot):
        return awaited.resume({step.call_id: {"return_value": value}})
    return awaited


def _place(order: Order, step: FunctionSnapshot) -> Place:
    if step.position.filename != FIRST_INPUT:  # in text that the script evaluates
        return Place(order.name)
    before = order.source.encode()[: step.position.start]
    return place_in(order.source, order.name, before.count(b"\n") + 1)


def _policy(order: Order) -> OSPolicy:
    policy: OSPolicy = {"sleep": "call_host"}
    if order.now is not None:
        policy["datetime"] = order.now
    if order.seed is not None:
        policy["random_start"] = {"seed": order.seed}
    return policy


@lru_cache(maxsize=256)
def _stand_in(name: str) -> Callable[[], None]:
    """What a script gets that names a host function without calling it: only the name passes."""

    def stand_in() -> None: ...

    stand_in.__name__ = name
    return stand_in
