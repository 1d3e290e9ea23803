"""Tokens a second of the bundled model: through dovetail, and by xllamacpp alone."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import IO, TYPE_CHECKING

from dovetail import ChatMessage, ChatRequest, Kernel
from tests.benchmarks.direct import BATCH, CONTEXT, PROMPT, TOKENS
from tests.benchmarks.harness import Goal, Row, Subject, interleave, profile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.benchmarks.harness import Sample

ROUNDS = 7

NEARLY = Goal(0.97, "≥ 0.97", least=True)
ABOUT = f"""\
{ROUNDS} rounds of the same prompt, temperature 0, {TOKENS} tokens, the same context, batch and
threads, each in a process with one model. Of `kernel.stream` and `handle_chat_completions` the
whole call is timed, in the process that makes it. Of `dovetail chat`, and of a script that calls
`handle_chat_completions` and prints each piece, the output is read from a pipe and timed from the
first piece to the last. A middleware in the command's config sets the temperature and the number of
tokens."""

LIMITS = f"""\
from dovetail import ChatCall, Middleware, hookimpl

class Limits(Middleware):
    async def before_chat(self, call: ChatCall) -> None:
        limits = {{"temperature": 0.0, "max_tokens": {TOKENS}}}
        call.request = call.request.model_copy(update=limits)

@hookimpl
def middleware() -> list[type[Middleware]]:
    return [Limits]
"""


async def measure() -> Subject:
    """The kernel, the command and the bare library in turn."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    settings = {"slots": 1, "context": CONTEXT, "batch": BATCH, "threads": threads or 1}
    kernel = Kernel.open({"providers": {"llamacpp": settings}}, env={})
    ours = through(kernel)
    with tempfile.TemporaryDirectory() as folder:
        async with kernel:
            with directly(threads or 1) as (whole, shown):
                chat = command(Path(folder), settings)
                samples = {"kernel": ours, "whole": whole, "command": chat, "shown": shown}
                taken = await interleave(samples, ROUNDS)
            rows = [
                _row("`kernel.stream`", taken["kernel"], taken["whole"]),
                _row("`dovetail chat`", taken["command"], taken["shown"]),
            ]
            subject = Subject("Tokens", ABOUT, rows)
            if subject.missed:
                answered = await profile(lambda _: ours(), 1)
                subject.profiles[f"{TOKENS} tokens by `kernel.stream`"] = answered
    return subject


def through(kernel: Kernel) -> Sample:
    """A sample of the kernel: seconds a token of the whole call."""
    request = ChatRequest(messages=(ChatMessage.user(PROMPT),), temperature=0.0, max_tokens=TOKENS)

    async def sample() -> float:
        began = time.perf_counter()
        async with kernel.stream(request) as stream:
            async for _ in stream:
                pass
        seconds = time.perf_counter() - began
        usage = stream.response.usage
        assert usage is not None
        assert usage.completion_tokens == TOKENS
        return seconds / TOKENS

    return sample


@contextmanager
def directly(threads: int) -> Iterator[tuple[Sample, Sample]]:
    """Samples of the library: the whole call, and what a reader of its output sees."""
    script = f"from tests.benchmarks.direct import main; main({threads})"
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ask, told = process.stdin, process.stdout

        async def whole() -> float:
            ask.write(b"time\n")
            ask.flush()
            return float(await asyncio.to_thread(told.readline)) / TOKENS

        async def shown() -> float:
            ask.write(b"show\n")
            ask.flush()
            return await asyncio.to_thread(seconds_a_token, told)

        yield whole, shown
        ask.close()


def seconds_a_token(output: IO[bytes]) -> float:
    """Seconds a token from the first piece of an answer to the last, as they are read.

    It ends with the output, or with a NUL.
    """
    times: list[float] = []
    while piece := os.read(output.fileno(), 65536):
        if piece.strip(b"\0\n"):
            times.append(time.perf_counter())
        if piece.endswith(b"\0"):
            break
    if len(times) < TOKENS / 2:
        message = f"an answer came in {len(times)} pieces"
        raise RuntimeError(message)
    return (times[-1] - times[0]) / (TOKENS - 1)


def command(folder: Path, settings: dict[str, int]) -> Sample:
    """A sample of `dovetail chat`: seconds a token from its first output to its last."""
    lines = ['[chat]\nmodel = "llamacpp"\n', "[providers.llamacpp]"]
    lines += [f"{name} = {value}" for name, value in settings.items()]
    lines.append('\n[[middleware]]\nuse = "bench_limits"\n')
    (folder / "dovetail.toml").write_text("\n".join(lines))
    (folder / "bench_limits.py").write_text(dedent(LIMITS))
    info = folder / "bench_limits-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bench-limits\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dovetail.v1]\nbench_limits = bench_limits\n")
    arguments = [str(Path(sys.executable).parent / "dovetail"), "chat", PROMPT]
    environment = {**os.environ, "PYTHONPATH": str(folder), "HOME": str(folder)}

    async def sample() -> float:
        with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs meanwhile
            arguments,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            return await asyncio.to_thread(seconds_a_token, process.stdout)

    return sample


def _row(what: str, ours: Sequence[float], direct: Sequence[float]) -> Row:
    mine, other = 1 / statistics.median(ours), 1 / statistics.median(direct)
    shown = f"{other:.0f} tokens/s xllamacpp directly"
    return Row(f"{what}, SmolLM2 135M", f"{mine:.0f} tokens/s", shown, mine / other, NEARLY)
