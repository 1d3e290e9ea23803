"""`dovetail chat`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from dovetail.cli.errors import Interrupted, WrongUse, report
from dovetail.cli.lazy import HELP_NAMES
from dovetail.cli.options import config_options, json_option
from dovetail.cli.piped import check_text, piped_text
from dovetail.cli.state import current_state, note

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail import ChatRequest, SyncKernel
    from dovetail.cli.answering import Outcome
    from dovetail.cli.options import Given


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options say."""

    model: str
    persona: str
    session: str | None
    system: str
    reasoning: bool
    max_tokens: int | None
    trace: bool
    config: Path | None
    settings: Given

    def request(self, text: str) -> ChatRequest:
        """A turn's request; the system's text is not kept in a session, so it is sent each time."""
        from dovetail import ChatMessage, ChatRequest

        told = [ChatMessage.system(self.system)] if self.system else []
        messages = (*told, ChatMessage.user(text))
        return ChatRequest(messages=messages, max_tokens=self.max_tokens, persona_id=self.persona)


@click.command(context_settings=HELP_NAMES)
@click.argument("prompt", required=False)
@click.option("-m", "--model", default="", help="The model, as instance/model.")
@click.option("-p", "--persona", default="", help="Who answers: a persona of the config.")
@click.option("-s", "--session", help="The conversation to go on with.")
@click.option("--system", default="", help="What the model is told before the conversation.")
@click.option("--max-tokens", type=click.IntRange(1), help="How long the answer may get.")
@click.option("--reasoning", is_flag=True, help="Show on stderr what the model thinks.")
@click.option("--trace", is_flag=True, help="Show on stderr the stages, modules and prompts.")
@json_option
@config_options
@click.pass_context
def chat(context: click.Context, /, prompt: str | None, **options: Any) -> None:
    """Ask PROMPT and show the answer as it comes.

    Text from a pipe is the prompt, or is put below PROMPT. Without either, on a terminal, it is a
    conversation. Ctrl-C stops an answer; what came of it is kept.
    """
    options["system"] = check_text(options["system"], "--system")
    asked = Asked(**options)
    given = check_text(prompt or "", "the prompt")
    text = "\n\n".join(filter(None, (given, piped_text())))
    if text.strip():
        context.exit(0 if _ask_once(text, asked) else 1)
    if prompt is not None:
        raise WrongUse("the prompt is empty")
    if current_state().as_json:
        raise WrongUse("--json needs a prompt: dovetail chat --json PROMPT")
    if sys.stdin is None or not sys.stdin.isatty():
        raise WrongUse("there is no prompt: give one, dovetail chat PROMPT, or send it to stdin")

    from dovetail.cli.conversation import Conversation
    from dovetail.cli.opening import open_kernel

    with open_kernel(asked.config, asked.settings, may_write=True, trace=asked.trace) as kernel:
        Conversation(kernel, asked).run()


def _ask_once(text: str, asked: Asked) -> bool:
    """Whether a complete answer was shown."""
    from dovetail.cli.answering import Screen, answer
    from dovetail.cli.interrupts import say
    from dovetail.cli.opening import open_kernel

    as_json = current_state().as_json
    screen = Screen(reasoning=asked.reasoning, silent=as_json)
    with open_kernel(asked.config, asked.settings, may_write=True, trace=asked.trace) as kernel:
        _warn_of_memory(kernel, asked.session)
        outcome = answer(
            kernel, asked.request(text), screen, model=asked.model, session=asked.session
        )
        if as_json:
            _print_json(outcome)
        elif outcome.interrupted:
            say(_stopped(outcome, asked.session))
        elif remark := outcome.remark():
            note(remark)
    return outcome.complete


def _print_json(outcome: Outcome) -> None:
    if outcome.response is not None:
        click.echo(outcome.response.model_dump_json())
    if outcome.interrupted:
        report(Interrupted("interrupted: the answer is incomplete"), current_state())


def _stopped(outcome: Outcome, session: str | None) -> str:
    if not outcome.began:
        return "stopped before the answer began"
    kept = f"kept in session `{session}`" if session else "above"
    return f"stopped; what came of the answer is {kept}"


def _warn_of_memory(kernel: SyncKernel, session: str | None) -> None:
    from dovetail.config.entries import DEFAULT_STORE

    if session and kernel.kernel.generation.config.sessions.plugin == DEFAULT_STORE:
        note(
            f"session `{session}` ends with this command: sessions are kept in memory; "
            "name another store in [sessions] to go on with it later"
        )
