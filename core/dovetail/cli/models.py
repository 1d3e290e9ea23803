"""`dovetail models`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from dovetail.cli.lazy import HELP_NAMES
from dovetail.cli.options import config_options, json_option
from dovetail.cli.state import current_state, note
from dovetail.cli.tables import show_table

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail import ModelInfo
    from dovetail.cli.options import Given


@click.command(context_settings=HELP_NAMES)
@json_option
@config_options
def models(config: Path | None, settings: Given) -> None:
    """List the models of every provider that the config names."""
    from dovetail.cli.opening import open_kernel

    with open_kernel(config, settings) as kernel:
        found = kernel.models()
    if current_state().as_json:
        click.echo(json.dumps([model.model_dump(mode="json") for model in found]))
    elif not found:
        note("no provider of the config names a model; any name can be tried: -m instance/model")
    else:
        show_table([(model.id, model.kind, _details(model)) for model in found])


def _details(model: ModelInfo) -> str:
    window = f"{model.context_window:,} tokens" if model.context_window else ""
    return ", ".join(filter(None, (window, " ".join(model.description.split()))))
