"""`dovetail chat` without a prompt: a conversation on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dovetail import DovetailError, ModelNotFound, new_id
from dovetail.cli import interrupts
from dovetail.cli.answering import Screen, answer
from dovetail.cli.errors import WrongUse, report
from dovetail.cli.state import current_state, note
from dovetail.cli.typing_in import LineReader
from dovetail.config.nearest import nearest

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
COMMANDS = ("/model", "/new", "/help", "/quit")


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
        request = self._asked.request(text)
        outcome = answer(self._kernel, request, screen, model=self._model, session=self._session)
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
                self._change_model(argument.strip())
            case "/model":
                self._show_models()
            case _:
                near = nearest(command, COMMANDS)
                guess = f"did you mean {near}? " if near else ""
                note(
                    f'there is no {command}; {guess}/help lists what there is, """ begins any text'
                )
        return True

    def _find(self, model: str) -> str:
        """The full name of what `model` means."""
        name, _, rest = self._kernel.kernel.generation.find_chat(model)
        return f"{name}/{rest}".rstrip("/")

    def _change_model(self, model: str) -> None:
        """Talk to another model from now on.

        Raises:
            ModelNotFound: there is none; also where its provider has a list without it, since
                nothing else would tell before the next text.
        """
        found = self._find(model)
        instance = found.partition("/")[0]
        listed = [known for known in self._models() if known.partition("/")[0] == instance]
        if listed and found not in (*listed, instance):
            near = nearest(found.partition("/")[2], [name.partition("/")[2] for name in listed])
            guess = f"did you mean `{instance}/{near}`? " if near else ""
            raise ModelNotFound(
                f"`{instance}` lists no model `{found}`; {guess}/model shows those there are, "
                f"`dovetail chat -m {found}` asks for it all the same",
                model=found,
            )
        self._model = model
        click.echo(f"now talking to {found}", err=True)

    def _show_models(self) -> None:
        current, models = self._find(self._model), self._models()
        for model in models if current in models else [current, *models]:
            click.echo(f"{'*' if model == current else ' '} {model}")

    def _models(self) -> list[str]:
        return [model.id for model in self._kernel.models() if model.kind != "embedding"]
