"""`dovetail chat` without a prompt: a conversation on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dovetail import DovetailError, new_id
from dovetail.cli import interrupts
from dovetail.cli.answering import Screen, answer
from dovetail.cli.errors import WrongUse, report
from dovetail.cli.state import current_state, note
from dovetail.cli.typing_in import LineReader

if TYPE_CHECKING:
    from dovetail import SyncKernel
    from dovetail.cli.chat import Asked

HELP = '''\
/model        the model, and which others there are
/model NAME   talk to another model from now on
/new          begin a new conversation
/help         this
/quit         leave; so does Ctrl-D
"""           begins and ends a text of several lines; so does \\ at the end of a line
Ctrl-C        stops the answer; what came of it is kept'''


class Conversation:
    """Reads what is typed and shows the answers, until it is left."""

    def __init__(
        self,
        kernel: SyncKernel,
        asked: Asked,
    ) -> None:
        self._kernel = kernel
        self._asked = asked
        self._model = asked.model
        self._session = asked.session or new_id()

    def run(self) -> None:
        """Hold the conversation.

        Raises:
            ModelNotFound: there is no such model to begin with.
        """
        model = self._find(self._model)
        click.echo(f"{model} · /help shows what can be typed, Ctrl-D leaves", err=True)
        with LineReader() as reader:
            while True:
                interrupts.arm()
                try:
                    if not self._one(reader):
                        return
                except KeyboardInterrupt:
                    interrupts.say("Ctrl-D or /quit leaves")
                except EOFError:
                    click.echo(err=True)
                    return
                except (DovetailError, WrongUse) as error:
                    report(error, current_state())

    def _one(self, reader: LineReader) -> bool:
        """Read and answer one text; False to leave."""
        text = reader.read()
        if not text.strip():
            return True
        if text.startswith("/"):
            return self._obey(*text.strip().partition(" ")[::2])
        screen = Screen(reasoning=self._asked.reasoning)
        messages = self._asked.messages(text)
        outcome = answer(self._kernel, messages, screen, model=self._model, session=self._session)
        if outcome.interrupted:
            kept = "what came is kept" if outcome.began else "nothing had come yet"
            interrupts.say(f"stopped; {kept}")
        elif remark := outcome.remark():
            note(remark)
        return True

    def _obey(self, command: str, argument: str) -> bool:
        match command:
            case "/quit" | "/exit":
                return False
            case "/help":
                click.echo(HELP)
            case "/new":
                self._session = new_id()
                click.echo("a new conversation", err=True)
            case "/model" if argument.strip():
                found = self._find(argument.strip())
                self._model = argument.strip()
                click.echo(f"now talking to {found}", err=True)
            case "/model":
                self._show_models()
            case _:
                note(f'there is no {command}; /help lists what there is, """ begins any text')
        return True

    def _find(self, model: str) -> str:
        """The full name of what `model` means."""
        name, _, rest = self._kernel.kernel.generation.find_chat(model)
        return f"{name}/{rest}".rstrip("/")

    def _show_models(self) -> None:
        click.echo(self._find(self._model))
        for model in self._kernel.models():
            if model.kind == "chat":
                click.echo(f"  {model.id}")
