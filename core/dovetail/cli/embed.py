"""`dovetail embed`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from dovetail.cli.errors import WrongUse
from dovetail.cli.lazy import HELP_NAMES
from dovetail.cli.options import config_options, json_option
from dovetail.cli.piped import check_text, piped_text
from dovetail.cli.state import current_state

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail.cli.options import Given


@click.command(context_settings=HELP_NAMES)
@click.argument("texts", nargs=-1, metavar="TEXT...")
@click.option("-m", "--model", default="", help="The model, as instance/model.")
@json_option
@config_options
def embed(texts: tuple[str, ...], model: str, config: Path | None, settings: Given) -> None:
    """Write the vector of each TEXT, and of each line from a pipe: a JSON list on a line."""
    wanted = [check_text(text, "a text") for text in texts]
    piped = [line.rstrip("\r") for line in piped_text().split("\n")]
    for what, some in (("text", wanted), ("line", piped if any(piped) else [])):
        for number, text in enumerate(some, 1):
            if not text.strip():
                # Passed over, it would leave fewer vectors than lines and nobody to tell which.
                raise WrongUse(f"{what} {number} is empty, which has no vector: leave it out")
    wanted += filter(None, piped)
    if not wanted:
        raise WrongUse("there is no text: dovetail embed TEXT..., or send lines to stdin")

    from dovetail.cli.opening import open_kernel

    with open_kernel(config, settings) as kernel:
        response = kernel.embed(wanted, model=model)
    if current_state().as_json:
        click.echo(response.model_dump_json())
        return
    for vector in response.embeddings:
        click.echo(json.dumps(vector))
