"""A group of commands of which only the one that is called is imported."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from dovetail.cli.state import State

HELP_NAMES = {"help_option_names": ["-h", "--help"]}


def _debug_option() -> click.Option:
    """`--debug` behind the command, where one thinks of it when the command has failed."""

    def remember(context: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            context.ensure_object(State).debug = True

    return click.Option(
        ["--debug"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=remember,
        help="Show errors with their traceback.",
    )


class LazyGroup(click.Group):
    """`places` maps a command's name to its `module:attribute` and its line in the help."""

    def __init__(
        self, *args: Any, places: dict[str, tuple[str, str]], default: str = "", **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.places = places
        self.default = default
        """The command that is meant where none is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order they were given."""
        return list(self.places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in self.places:
            return None
        module, _, attribute = self.places[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Group) and not any(
            parameter.name == "debug" for parameter in command.params
        ):
            command.params.append(_debug_option())
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put in the default command where none is named."""
        asks_help = bool(args) and args[0] in ctx.help_option_names
        if self.default and not asks_help and (not args or args[0].startswith("-")):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; one that is not there is answered with the nearest name."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is not None or name.startswith("-"):
            return (name, command, args[1:]) if command else super().resolve_command(ctx, args)
        from dovetail.config.nearest import nearest

        near = nearest(name, self.list_commands(ctx))
        guess = f"did you mean `{near}`?" if near else f"`{ctx.command_path} --help` lists them"
        raise click.UsageError(f"there is no command `{name}`; {guess}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.places.items()])
