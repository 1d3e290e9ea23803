"""`dovetail plugins show`: one plugin, loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dovetail.cli.lazy import HELP_NAMES
from dovetail.cli.logs import configure_logs
from dovetail.cli.options import config_options, json_option
from dovetail.cli.plugins import enabled_by
from dovetail.cli.running import run_async
from dovetail.cli.settings_table import setting_rows
from dovetail.cli.state import current_state
from dovetail.config.nearest import nearest
from dovetail.errors import ConfigError, PluginError
from dovetail.host.describe import PluginDescription, describe_plugin
from dovetail.host.discovery import discover
from dovetail.host.loading import PluginLoader
from dovetail.host.options import KernelOptions

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail.cli.options import Given
    from dovetail.host.records import PluginRecord


@click.command(context_settings=HELP_NAMES)
@click.argument("plugin_id", metavar="ID")
@json_option
@config_options
@click.pass_context
def show(context: click.Context, plugin_id: str, config: Path | None, settings: Given) -> None:
    """Load the plugin ID and show its components and what can be set."""
    configure_logs(current_state())
    records = discover()
    if plugin_id not in records:
        near = nearest(plugin_id, records)
        guess = f"did you mean `{near}`? " if near else ""
        raise PluginError(
            f"no plugin `{plugin_id}` is installed; {guess}`dovetail plugins` lists those that are"
        )
    record = records[plugin_id]
    loader = PluginLoader(records)
    run_async(loader.load([plugin_id], KernelOptions().import_timeout))
    told = _told(record, describe_plugin(record), _places(plugin_id, config, settings))
    if current_state().as_json:
        import json

        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        _show(told)
    context.exit(1 if record.failure else 0)


def _places(plugin_id: str, config: Path | None, settings: Given) -> list[str]:
    """Where the config names it; a config that cannot be read does not matter here."""
    from dovetail.cli.options import read
    from dovetail.config import read_entries

    try:
        understood, _ = read_entries(read(config, settings))
    except ConfigError:
        return []
    return enabled_by(understood).get(plugin_id, [])


def _told(record: PluginRecord, plugin: PluginDescription, enabled: list[str]) -> dict[str, Any]:
    components = [
        {
            **component.model_dump(exclude={"settings_schema", "plugin", "suggestion"}),
            "settings": setting_rows(component.settings_schema),
        }
        for component in plugin.components
    ]
    return {
        "id": plugin.plugin,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "module": record.module,
        "api": record.api,
        "state": str(record.state),
        "import_ms": plugin.import_ms,
        "enabled_by": enabled,
        "components": components,
        "failure": plugin.failure,
    }


def _show(told: dict[str, Any]) -> None:
    import_ms = "" if told["import_ms"] is None else f", imported in {told['import_ms']:g} ms"
    click.echo(f"{told['id']}  ({told['distribution']} {told['version']}, {told['module']})")
    click.echo(f"  {told['state']}{import_ms}")
    click.echo(f"  enabled by {', '.join(told['enabled_by']) or 'nothing in the config'}")
    for component in told["components"]:
        does = f" for {' and '.join(component['does'])}" if component["does"] else ""
        click.echo(f"\n{component['kind']}{does}: {told['id']}:{component['component']}")
        if component["summary"]:
            click.echo(f"  {component['summary']}")
        if component["problem"]:
            click.echo(f"  ! {component['problem']}")
        for row in component["settings"]:
            click.echo(f"\n  {row['name']}  {_rule(row)}")
            if row["description"]:
                click.echo(f"      {row['description']}")
        if not component["settings"]:
            click.echo("  takes no settings")
    if told["failure"]:
        click.echo(f"\n{told['failure']}")


def _rule(row: dict[str, Any]) -> str:
    default = "must be set" if row["required"] else f"default {row['default']}"
    return ", ".join(filter(None, (row["type"], "a secret" if row["secret"] else "", default)))
