"""`dovetail chat --trace`: the stages of a turn and the modules in them, as they happen."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import click

from dovetail import EventProvider, hookimpl
from dovetail.cli.answering import TRACE, plain

PLUGIN = TRACE
"""The id under which the command registers this for itself."""
LONGEST_PROMPT = 4000
"""Characters of a prompt that are shown."""


class Trace(EventProvider):
    """Draws a tree on stderr: stages, their modules with times, and what models say in them."""

    events = ("stage_*", "module_*")

    def __init__(self) -> None:
        self._prompts: dict[str, str] = {}
        self._streaming = ""
        """The module whose words are being shown."""
        self._answered = False
        """Whether a stage after the turn's answer has begun."""

    async def handle_event(self, event: str, data: Any) -> None:
        """Draw one line, or a few words of one."""
        if event == "module_chunk":
            self._say(str(data.get("module", "")), str(data.get("text", "")))
            return
        self._end_words()
        if event == "stage_start":
            if str(data["stage"]).startswith("post") and not self._answered:
                self._answered = True
                _line("")  # the answer stands before it, in a line that has not ended
            _line(click.style(str(data["stage"]), bold=True))
        elif event == "module_complete":
            kind = f" ({data['kind']})" if data.get("kind") else ""
            _line(f"├ {plain(str(data.get('module')))}{kind} {_time(data)}{_failure(data)}")
        elif event == "stage_complete":
            _line(f"└ {_time(data)}{_failure(data)}")
            if data.get("prompt") is not None:
                self._prompts[str(data["stage"])] = str(data["prompt"])

    def show_prompts(self) -> None:
        """Show the prompt as it was after each stage of the turn that has ended."""
        self._end_words()
        self._answered = False
        for stage, prompt in self._prompts.items():
            shown = prompt if len(prompt) <= LONGEST_PROMPT else f"{prompt[:LONGEST_PROMPT]} …"
            _line(click.style(f"prompt after {stage}", bold=True))
            for line in shown.splitlines() or [""]:
                _line(f"│ {plain(line)}")
        self._prompts.clear()

    def _say(self, module: str, text: str) -> None:
        if module != self._streaming:
            self._end_words()
            self._streaming = module
            click.echo(f"│ {plain(module)}: ", err=True, nl=False)
        click.secho(plain(text), dim=True, err=True, nl=False)

    def _end_words(self) -> None:
        if self._streaming:
            self._streaming = ""
            click.echo(err=True)


def trace_plugin() -> ModuleType:
    """A plugin that the command registers by hand, with this one provider."""
    plugin = ModuleType(PLUGIN)

    @hookimpl
    def providers() -> list[type[Trace]]:
        return [Trace]

    plugin.providers = providers  # type: ignore[attr-defined]
    return plugin


def _line(text: str) -> None:
    click.echo(text, err=True)


def _time(data: Any) -> str:
    seconds = float(data.get("seconds") or 0)
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def _failure(data: Any) -> str:
    error = data.get("error_message") or data.get("error")
    return click.style(f" ✗ {plain(str(error))}", fg="red") if error else ""
