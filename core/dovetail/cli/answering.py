"""Showing one answer as it comes."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from dovetail import DovetailError, FinishReason

if TYPE_CHECKING:
    from dovetail import ChatRequest, ChatResponse, Kernel, StreamingChunk, SyncKernel

# What could move a terminal's cursor, change its title or worse; tab and newline may stay.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """`text` without what could move a terminal's cursor."""
    return _CONTROLS.sub("", text)


TRACE = "dovetail-trace"
"""The id and the instance by which `--trace` is known to the kernel."""


class Screen:
    """Writes chunks: the answer to stdout at once, the reasoning, if wanted, dimmed to stderr."""

    def __init__(self, *, reasoning: bool = False, silent: bool = False) -> None:
        self._reasoning = reasoning
        self._silent = silent
        self._for_person = sys.stdout.isatty()
        self._last = ""
        self._thinking = False

    def show(self, chunk: StreamingChunk) -> None:
        """Write a chunk."""
        if self._silent:
            return
        if chunk.reasoning and self._reasoning:
            self._thinking = True
            click.secho(plain(chunk.reasoning), dim=True, err=True, nl=False)
        text = chunk.text + chunk.refusal
        if not text:
            return
        if self._thinking:
            self._thinking = False
            click.echo(err=True)
        self._last = text
        sys.stdout.write(plain(text) if self._for_person else text)
        sys.stdout.flush()

    def end(self) -> None:
        """End the line that the answer, or its reasoning, stopped in."""
        if self._thinking:
            click.echo(err=True)
        if self._last and not self._last.endswith("\n"):
            sys.stdout.write("\n")
            sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn ended."""

    response: ChatResponse | None
    """The answer, or what had come of it; None if nothing had."""
    interrupted: bool = False
    """Whether Ctrl-C stopped it."""

    @property
    def began(self) -> bool:
        """Whether anything of the answer came."""
        return self.response is not None and bool(self.response.text)

    @property
    def complete(self) -> bool:
        """Whether it came to its end."""
        return not self.interrupted and self.remark() != _CANCELLED

    def remark(self) -> str:
        """What a person should know of how the answer ended; empty if it just did."""
        if self.response is None:
            return ""
        return _REMARKS.get(self.response.finish_reason, "")


_CANCELLED = "the answer was stopped from elsewhere"
_REMARKS: dict[FinishReason | str, str] = {
    FinishReason.LENGTH: (
        "the answer was cut at the most tokens it may have: --max-tokens N, or more context in "
        "the provider's settings, allows more"
    ),
    FinishReason.CONTENT_FILTER: "the answer was cut by the provider's content filter",
    FinishReason.TOOL_CALLS: "the model asks for tools, which this command does not call",
    FinishReason.CANCELLED: _CANCELLED,
}


def answer(
    kernel: SyncKernel,
    request: ChatRequest,
    screen: Screen,
    *,
    model: str = "",
    session: str | None = None,
) -> Outcome:
    """Have `request` answered on `screen`; Ctrl-C stops it and keeps what came.

    Raises:
        DovetailError: the turn failed; what had come was shown and is kept.
    """
    stream = kernel.stream(request, model=model, session=session)
    interrupted = False
    try:
        with stream:
            for chunk in stream:
                screen.show(chunk)
    except KeyboardInterrupt:
        interrupted = True
        # It may have come between the turn's beginning and the `with`.
        kernel.call(_stop_all(kernel.kernel))
    finally:
        screen.end()
        show_prompts(kernel)
    try:
        return Outcome(stream.response, interrupted)
    except DovetailError:
        return Outcome(None, interrupted)


def show_prompts(kernel: SyncKernel) -> None:
    """With `--trace`, show the prompts of the turn that has ended."""
    trace: Any = None
    with suppress(DovetailError):  # a kernel that has been closed meanwhile has none to show
        trace = kernel.kernel.generation.providers.get(TRACE)
    if trace is not None:
        trace.show_prompts()


async def _stop_all(kernel: Kernel) -> None:
    for run in kernel.runs.runs():
        run.cancel()
        await run.wait()
