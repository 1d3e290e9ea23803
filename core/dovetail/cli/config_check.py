"""`dovetail config check`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dovetail.cli.lazy import HELP_NAMES
from dovetail.cli.logs import configure_logs
from dovetail.cli.options import config_options, json_option, read
from dovetail.cli.running import run_async
from dovetail.cli.state import current_state, note
from dovetail.cli.survey import survey
from dovetail.errors import ConfigError, StartError

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail.cli.options import Given


@click.command(context_settings=HELP_NAMES)
@json_option
@config_options
def check(config: Path | None, settings: Given) -> None:
    """Tell everything that is wrong with the config, at once.

    The plugins that it names are loaded, for their settings, but not started.
    """
    configure_logs(current_state())
    found = run_async(survey(read(config, settings)))
    if found.plan.failures:
        raise StartError(found.problems, found.plan.failures)
    if found.problems:
        raise ConfigError(found.problems)
    for failure in found.plan.quarantined:
        note(f"optional, and out of order: {failure}")
    if current_state().as_json:
        click.echo('{"valid": true}')
    else:
        click.echo("nothing is wrong with the config")
