"""What an error of `pydantic_monty` says about a script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail_scripts.errors import (
    Place,
    ScriptCallFailed,
    ScriptCrashed,
    ScriptError,
    ScriptFailed,
    ScriptMemory,
    ScriptOutputTooLong,
    ScriptRecursion,
    ScriptSyntaxError,
    ScriptTimeout,
    ScriptTooManyCalls,
    place_in,
    shown,
)
from dovetail_scripts.job import Stopped

if TYPE_CHECKING:
    from pydantic_monty import MontyCrashedError, MontyRuntimeError, MontySyntaxError

    from dovetail_scripts.job import Job, Order

FIRST_INPUT = "<python-input-0>"
"""What the interpreter calls the script."""


def failure_of(error: Exception, job: Job, shift: int = 0) -> ScriptError | Stopped:
    """The error to raise; `shift` is how many lines stood before the script's first."""
    import pydantic_monty as monty

    where = Place(job.order.name)
    if job.stopped:
        return Stopped()
    if job.too_much:
        message = f"it printed more than {job.order.limits.output:,} characters: see `output_limit`"
        return ScriptOutputTooLong(message, where, job.output)
    if isinstance(error, monty.MontyCrashedError):
        return _ended(error, job, where)
    if isinstance(error, monty.MontySyntaxError):
        return ScriptSyntaxError(shown(error.display("msg")), _place(error, job.order, shift))
    if isinstance(error, monty.MontyRuntimeError):
        return _raised(error, job, _place(error, job.order, shift))
    return ScriptFailed(shown(str(error)), where, job.output)


def _ended(error: MontyCrashedError, job: Job, where: Place) -> ScriptError:
    if error.timed_out:
        return ScriptTimeout(_too_slow(job.order.limits.time), where, job.output)
    return ScriptCrashed(f"its worker died: {shown(str(error))}", where, job.output)


def _raised(error: MontyRuntimeError, job: Job, place: Place) -> ScriptError:
    text, limits, said = error.display("type-msg"), job.order.limits, job.output
    if text.startswith("TimeoutError: feed time limit exceeded"):
        return ScriptTimeout(_too_slow(limits.time), place, said)
    if text.startswith("MemoryError"):
        message = f"it wanted more than {limits.memory} MB: see `memory_limit`"
        return ScriptMemory(message, place, said)
    if text.startswith("RecursionError"):
        message = f"its calls went more than {limits.recursion} deep: see `recursion_limit`"
        return ScriptRecursion(message, place, said)
    if text.startswith("RuntimeError: suspension limit"):
        return ScriptTooManyCalls("it asked the host far too often", place, said)
    if text.startswith("NotImplementedError: The monty syntax parser"):
        return ScriptSyntaxError(shown(error.display("msg")), place)
    kind = ScriptFailed if cause_of(error, job) is None else ScriptCallFailed
    return kind(shown(text), place, said)


def cause_of(error: Exception, job: Job) -> BaseException | None:
    """What a host function raised, if the script only passed it on."""
    refused = job.order.calls.failure
    if refused is None or refused.__cause__ is None or refused.message not in str(error):
        return None
    return refused.__cause__


def no_worker(error: Exception, order: Order) -> ScriptCrashed:
    """No process could be had."""
    message = f"no worker could be started: {shown(str(error))}; is pydantic-monty installed whole?"
    return ScriptCrashed(message, Place(order.name))


def _place(error: MontyRuntimeError | MontySyntaxError, order: Order, shift: int) -> Place:
    own = [frame.line for frame in error.traceback() if frame.filename == FIRST_INPUT]
    return place_in(order.source, order.name, own[-1] - shift if own else None)


def _too_slow(seconds: float) -> str:
    return f"it took more than {seconds:g} s of its own: see `time_limit`"
