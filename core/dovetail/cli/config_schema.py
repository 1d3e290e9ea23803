"""`dovetail config schema`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dovetail.cli.describing import describe_installed
from dovetail.cli.lazy import HELP_NAMES
from dovetail.cli.state import note
from dovetail.config.schema import config_schema
from dovetail.config.shape import settings_schema
from dovetail.errors import DovetailError
from dovetail.events.in_process import InProcessBusSettings
from dovetail.host.options import ChatOptions, KernelOptions, PipelineOptions
from dovetail.pipeline.persona import Persona
from dovetail.sessions.manager import SessionOptions


@click.command(context_settings=HELP_NAMES)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write it to this file, not to stdout."
)
def schema(output: Path | None) -> None:
    """Write the JSON Schema of a config for exactly the plugins that are installed."""
    found = describe_installed()
    for plugin in found:
        if plugin.failure:
            note(f"left out: {plugin.failure}")
    components = [
        component.model_dump(include={"plugin", "component", "kind", "settings_schema"})
        for plugin in found
        for component in plugin.components
    ]
    written = config_schema(
        components,
        chat=settings_schema(ChatOptions),
        kernel=settings_schema(KernelOptions),
        sessions=settings_schema(SessionOptions),
        bus=settings_schema(InProcessBusSettings),
        pipeline=settings_schema(PipelineOptions),
        persona=settings_schema(Persona),
    )
    text = json.dumps(written, indent=2, ensure_ascii=False)
    if output is None:
        click.echo(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise DovetailError(f"{output} cannot be written: {error.strerror}") from error
