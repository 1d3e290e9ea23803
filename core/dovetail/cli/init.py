"""`dovetail init`."""

from __future__ import annotations

from pathlib import Path

import click

from dovetail.cli.lazy import HELP_NAMES
from dovetail.cli.state import note
from dovetail.errors import ConfigError, Problem

FIRST_FILE = Path("dovetail.toml")


@click.command(context_settings=HELP_NAMES)
@click.argument("file", type=click.Path(path_type=Path), default=FIRST_FILE)
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
def init(file: Path, force: bool) -> None:
    """Write a first config, by default ./dovetail.toml, from what is installed."""
    write_first_config(file, force=force)


def write_first_config(file: Path, *, force: bool = False) -> Path:
    """Write a config made of what the installed plugins suggest; says on stderr what it holds.

    Raises:
        ConfigError: the file is there already, or cannot be written.
    """
    if not force:
        _refuse_existing(file)
    from dovetail.cli.describing import describe_installed
    from dovetail.cli.first_config import compose

    found = describe_installed()
    first = compose([component for plugin in found for component in plugin.components])
    try:
        with file.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(first.text)
    except FileExistsError:
        _refuse_existing(file)
    except OSError as error:
        problem = Problem(f"cannot be written: {error.strerror}", str(file), "name another file")
        raise ConfigError([problem]) from error
    for plugin in found:
        if plugin.failure:
            note(f"left out: {plugin.failure}")
        for component in plugin.components:
            if component.problem:
                note(f"left out: `{plugin.plugin}:{component.component}`, {component.problem}")
    note(f"wrote {file}" + (f" with {', '.join(first.tables)}" if first.tables else ""))
    if first.model:
        note(f"the model is {first.model}")
    else:
        note(
            "no installed plugin offers a model to talk to; plugins are packages, by their usual "
            "name dovetail-NAME: install one with pip and run `dovetail init --force`, or write "
            f"its table into {file}"
        )
    return file


def _refuse_existing(file: Path) -> None:
    if file.is_symlink() or file.exists():
        hint = "--force overwrites it; or name another file: dovetail init FILE"
        raise ConfigError([Problem("is there already", str(file), hint)])
