"""The command `dovetail` itself: its own commands, and those that plugins add."""

from __future__ import annotations

from typing import Any

import click

from dovetail import __version__
from dovetail.cli.lazy import HELP_NAMES, LazyGroup
from dovetail.cli.state import State

OWN = {
    "chat": ("dovetail.cli.chat:chat", "Talk to a model."),
    "models": ("dovetail.cli.models:models", "List the models there are."),
    "embed": ("dovetail.cli.embed:embed", "Turn texts into vectors."),
    "sessions": ("dovetail.cli.sessions:sessions", "List, show and remove conversations."),
    "plugins": ("dovetail.cli.plugins:plugins", "List, examine and create plugins."),
    "config": ("dovetail.cli.config:config", "Check, explain and describe the config."),
    "init": ("dovetail.cli.init:init", "Write a first config from what is installed."),
}


class App(LazyGroup):
    """The kernel's commands come first: a plugin cannot take the place of one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, without importing anything."""
        return [*self.places, *sorted(_of_plugins())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command, and nothing of any other."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        place = _of_plugins().get(cmd_name)
        return _import_foreign(cmd_name, *place) if place else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List them, those of plugins with the distribution that each is from."""
        super().format_commands(ctx, formatter)
        if foreign := _of_plugins():
            with formatter.section("Commands of plugins"):
                formatter.write_dl(
                    [(name, f"from {where}") for name, (_, where) in sorted(foreign.items())]
                )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it returns is no exit code."""
        super().invoke(ctx)


def _of_plugins() -> dict[str, tuple[str, str]]:
    from dovetail.host.discovery import discover_commands

    return {name: place for name, place in discover_commands().items() if name not in OWN}


def _import_foreign(name: str, path: str, distribution: str) -> click.Command:
    """The command that an entry point names.

    Raises:
        PluginError: it cannot be imported, or is no command.
    """
    from dovetail.cli.interrupts import leave_to_others
    from dovetail.errors import PluginError
    from dovetail.host.importing import import_object
    from dovetail.host.records import describe

    leave_to_others()
    what = f"the command `{name}` of `{distribution}`"
    try:
        command, _ = import_object(path)
    except (Exception, SystemExit) as error:
        message = (
            f"{what} cannot be loaded: {describe(error)}\n"
            f"    → reinstall or update `{distribution}`; every other command works without it"
        )
        raise PluginError(message) from error
    if not isinstance(command, click.Command):
        message = (
            f"{what} is no click command: `{path}` is a {type(command).__name__}\n"
            f"    → report it to the author of `{distribution}`"
        )
        raise PluginError(message)
    return command


@click.group(cls=App, places=OWN, context_settings=HELP_NAMES)
@click.version_option(__version__, message="dovetail %(version)s")
@click.option("--debug", is_flag=True, help="Show errors with their traceback.")
@click.pass_context
def app(context: click.Context, debug: bool) -> None:
    """Talk to models through plugins, and look after the plugins."""
    context.ensure_object(State).debug = debug
