"""`dovetail config`."""

from __future__ import annotations

import click

from dovetail.cli.lazy import HELP_NAMES, LazyGroup

PLACES = {
    "check": ("dovetail.cli.config_check:check", "Tell everything that is wrong, at once."),
    "explain": ("dovetail.cli.config_explain:explain", "Show each value and where it is from."),
    "schema": ("dovetail.cli.config_schema:schema", "Write a JSON Schema for editors."),
}


@click.group(cls=LazyGroup, places=PLACES, context_settings=HELP_NAMES)
def config() -> None:
    """Check, explain and describe the config."""
