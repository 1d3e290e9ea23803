"""The engine `restricted`: CPython, with RestrictedPython in front of it. No security boundary.

Each script has a process of its own, which is ended when the script is. The next one is started
ahead, because a Python process takes its time.
"""

from __future__ import annotations

import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from dovetail import PluginError
from dovetail_scripts import errors
from dovetail_scripts.calls import Refused
from dovetail_scripts.errors import Place, place_in, shown
from dovetail_scripts.job import Stopped
from dovetail_scripts.left import left_by
from dovetail_scripts.threads import ThreadedEngine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dovetail_scripts.job import Job, Order
    from dovetail_scripts.models import ScriptExecutionResult

WORKER = Path(__file__).with_name("restricted_worker.py")
_KINDS: Mapping[str, type[errors.ScriptError]] = {
    "syntax": errors.ScriptSyntaxError,
    "failed": errors.ScriptFailed,
    "memory": errors.ScriptMemory,
    "recursion": errors.ScriptRecursion,
    "output": errors.ScriptOutputTooLong,
}
_ESCAPED = 12
"""How long one character may get in JSON."""
_TO_START = 30.0
"""Seconds in which a process must be ready."""
_DATE = "$datetime"


class RestrictedEngine(ThreadedEngine):
    """A process for each script."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._lock = threading.Lock()
        self._spare: subprocess.Popen[bytes] | None = None

    def opened(self) -> None:
        """Start the first process."""
        if importlib.util.find_spec("RestrictedPython") is None:
            raise PluginError(
                'scripts are to run by `engine = "restricted"`, and RestrictedPython is not '
                "installed: pip install 'dovetail-scripts[restricted]'"
            )
        self._spare = _started()

    def closed(self) -> None:
        """End the process that was started ahead."""
        if self._spare is not None:
            _ended(self._spare)

    def checked(self, job: Job) -> None:
        """Parse a script."""
        with self._worker(job) as worker:
            worker.send({**_order(job.order), "check": True})
            _last(job, worker.receive())

    def executed(self, job: Job) -> ScriptExecutionResult:
        """Run a script."""
        with self._worker(job) as worker:
            worker.send(_order(job.order))
            while "call" in (said := worker.receive()):
                worker.send(_called(job, said))
            done = _last(job, said)
        return left_by(job, done.get("variables"), done.get("value"))

    @contextmanager
    def _worker(self, job: Job) -> Iterator[_Worker]:
        process = self._taken()
        try:
            job.begin(process.pid)
            try:
                yield _Worker(process, job)
            finally:
                job.end()
        finally:
            _ended(process)
            self._put_by()

    def _taken(self) -> subprocess.Popen[bytes]:
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None and spare.poll() is not None:  # somebody killed it
            _ended(spare)
            spare = None
        return spare or _started()

    def _put_by(self) -> None:
        with self._lock:
            if self._spare is None:
                self._spare = _started()


def _started() -> subprocess.Popen[bytes]:
    """A process that has nothing of ours: no environment, no folder, no files."""
    return subprocess.Popen(
        [sys.executable, "-I", str(WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        start_new_session=True,
    )


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with suppress(BrokenPipeError), process:  # what it had not read is of no use now
        pass


def _order(order: Order) -> dict[str, Any]:
    return {
        "source": order.source,
        "inputs": dict(order.inputs),
        "functions": order.calls.names(),
        "memory": order.limits.memory,
        "recursion": order.limits.recursion,
        "output": order.limits.output,
        "seconds": order.limits.time,
        "seed": order.seed,
    }


def _called(job: Job, said: dict[str, Any]) -> dict[str, Any]:
    """The answer to a call. What was said is the word of a process that nobody vouches for."""
    name, args, kwargs = str(said["call"]), said.get("args"), said.get("kwargs")
    if not (job.order.calls.knows(name) and isinstance(args, list) and isinstance(kwargs, dict)):
        return {"raise": ["NameError", job.order.calls.unknown(name)]}
    try:
        return {"value": job.ask(name, _dated(args), _dated(kwargs))}
    except Refused as refused:
        return {"raise": [refused.kind, refused.message]}
    except errors.ScriptLimitReached as error:
        raise type(error)(error.message, _place(job.order, said), job.output) from None


def _last(job: Job, said: dict[str, Any]) -> dict[str, Any]:
    """What a script that came to its end left."""
    printed = said.get("output")
    job.printed = [printed[: job.order.limits.output]] if isinstance(printed, str) else []
    if "error" not in said:
        return said
    kind = _KINDS.get(str(said["error"]), errors.ScriptFailed)
    message, refused = _message(kind, said, job), job.order.calls.failure
    cause = refused.__cause__ if refused is not None and refused.message in message else None
    if kind is errors.ScriptFailed and cause is not None:
        kind = errors.ScriptCallFailed
    raise kind(message, _place(job.order, said), job.output) from cause


def _message(kind: type[errors.ScriptError], said: dict[str, Any], job: Job) -> str:
    limits = job.order.limits
    if kind is errors.ScriptMemory:
        return f"it wanted more than {limits.memory} MB: see `memory_limit`"
    if kind is errors.ScriptRecursion:
        return f"its calls went more than {limits.recursion} deep: see `recursion_limit`"
    return shown(str(said.get("message")))


def _place(order: Order, said: dict[str, Any]) -> Place:
    line = said.get("line")
    return place_in(order.source, order.name, line if isinstance(line, int) else None)


class _Worker:
    """A process that is talked to in lines of JSON."""

    def __init__(self, process: subprocess.Popen[bytes], job: Job) -> None:
        self._process = process
        self._job = job
        self._read = bytearray()
        self._left = _TO_START
        self._most = job.order.limits.output * _ESCAPED + 100_000
        self.receive()  # it is ready
        job.count_from_here()
        self._left = job.order.limits.time

    def send(self, message: object) -> None:
        """Say something.

        Raises:
            ScriptError: it has ended.
        """
        pipe = self._process.stdin
        assert pipe is not None  # noqa: S101 - it was asked for
        try:
            pipe.write(json.dumps(message, default=_encoded).encode() + b"\n")
            pipe.flush()
        except OSError:
            self._died()

    def receive(self) -> dict[str, Any]:
        """What it says next; the time until then is its own.

        Raises:
            ScriptError: it said nothing in time, too much, or has ended.
        """
        began = time.monotonic()
        pipe = self._process.stdout
        assert pipe is not None  # noqa: S101 - it was asked for
        while (end := self._read.find(b"\n")) < 0:
            if len(self._read) > self._most:
                raise self._error(errors.ScriptOutputTooLong, "it left far too much")
            self._wait(pipe.fileno(), self._left - (time.monotonic() - began))
            some = os.read(pipe.fileno(), 1 << 16)
            if not some:
                self._died()
            self._read += some
        self._left -= time.monotonic() - began
        line = bytes(self._read[:end])
        del self._read[: end + 1]
        return self._understood(line)

    def _wait(self, pipe: int, seconds: float) -> None:
        ready = select.poll()
        ready.register(pipe, select.POLLIN)
        if seconds <= 0 or not ready.poll(seconds * 1000):
            self._too_slow()

    def _understood(self, line: bytes) -> dict[str, Any]:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            raise self._error(errors.ScriptCrashed, "its worker talks nonsense")
        return said

    def _died(self) -> NoReturn:
        if self._job.stopped:
            raise Stopped
        code = self._process.wait()
        if code == -signal.SIGXCPU:
            self._too_slow()
        raise self._error(errors.ScriptCrashed, f"its worker died (exit status {code})")

    def _too_slow(self) -> NoReturn:
        seconds = self._job.order.limits.time
        message = f"it took more than {seconds:g} s of its own: see `time_limit`"
        raise self._error(errors.ScriptTimeout, message)

    def _error(self, kind: type[errors.ScriptError], message: str) -> errors.ScriptError:
        return kind(message, Place(self._job.order.name), self._job.output)


def _encoded(value: object) -> dict[str, str]:
    if isinstance(value, datetime):
        return {_DATE: value.isoformat()}
    raise TypeError(type(value).__name__)


def _dated(value: Any) -> Any:
    """JSON in which datetimes are datetimes again."""
    return json.loads(json.dumps(value), object_hook=_date)


def _date(value: dict[str, Any]) -> Any:
    if value.keys() == {_DATE}:
        try:
            return datetime.fromisoformat(value[_DATE])
        except (TypeError, ValueError):
            return value
    return value
