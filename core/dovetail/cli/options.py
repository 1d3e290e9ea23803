"""Options that several commands have, and reading the config as they say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dovetail.cli.state import State, current_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from dovetail.config import RawConfig

    Given = tuple[tuple[tuple[str, ...], object], ...]
    """What `--set` gave: the key's path and the value, each time; the later wins."""

F = TypeVar("F", bound="Callable[..., Any]")


class _Setting(click.ParamType[Any]):
    """`table.key=value`, as `--set` takes it."""

    name = "table.key=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[tuple[str, ...], object]:
        """The key's path, and the value as the config will have it."""
        if isinstance(value, tuple):
            return value
        import tomllib

        from dovetail.config.environment import value_of

        key, equals, text = str(value).partition("=")
        try:
            table: object = tomllib.loads(f"{key} = 0")
        except tomllib.TOMLDecodeError:
            table = None
        path: tuple[str, ...] = ()
        while isinstance(table, dict) and len(table) == 1:
            name, table = next(iter(table.items()))
            path = (*path, name)
        if not equals or table != 0 or len(path) < 2:
            # The value may be a secret, so it is not repeated.
            self.fail("should be written table.key=value, as in chat.model=NAME/MODEL")
        if text in {"true", "false"}:
            return path, text == "true"
        try:
            return path, value_of(text)
        except ValueError as error:
            self.fail(f"the value of {key} {error}")


def config_options(command: F) -> F:
    """`--config` and `--set`; the command gets `config` and `settings`."""
    command = click.option(
        "--set",
        "settings",
        type=_Setting(),
        multiple=True,
        help="Set a value of the config for this time.",
    )(command)
    return click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path),
        help="The config file; without it the nearest dovetail.toml, here or above.",
    )(command)


def json_option(command: F) -> F:
    """`--json`; `State.as_json` tells."""

    def remember(context: click.Context, _: click.Parameter, value: bool) -> None:
        context.ensure_object(State).as_json = value

    return click.option(
        "--json",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=remember,
        help="Write JSON, errors too.",
    )(command)


def read(config: Path | None, settings: Given) -> RawConfig:
    """Read the config; its secrets are masked from now on.

    Raises:
        ConfigNotFound: there is none.
        ConfigError: it cannot be read.
    """
    import shlex
    from dataclasses import replace

    from dovetail.config import read_config
    from dovetail.errors import ConfigNotFound

    try:
        raw = read_config(config, overrides={**dict(settings)})
    except ConfigNotFound as error:
        if config is None:
            raise
        hint = f"`dovetail init {shlex.quote(str(config))}` writes one"
        raise ConfigNotFound([replace(p, hint=p.hint or hint) for p in error.problems]) from error
    current_state().secrets |= raw.secrets()
    return raw
