"""`dovetail plugins`: what is installed, found without importing any of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from dovetail.cli.lazy import HELP_NAMES, LazyGroup
from dovetail.cli.options import config_options, json_option, read
from dovetail.cli.state import current_state
from dovetail.cli.tables import show_table
from dovetail.errors import ConfigError, ConfigNotFound

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail.cli.options import Given
    from dovetail.config import Config
    from dovetail.host.records import PluginRecord

PLACES = {
    "list": ("dovetail.cli.plugins:list_plugins", "List what is installed; imports nothing."),
    "show": ("dovetail.cli.plugin_show:show", "Load one plugin and show what it offers."),
    "doctor": ("dovetail.cli.plugin_doctor:doctor", "Load and start what the config names."),
    "new": ("dovetail.cli.plugin_new:new", "Write a new plugin's project."),
}


@click.group(cls=LazyGroup, places=PLACES, default="list", context_settings=HELP_NAMES)
def plugins() -> None:
    """List, examine and create plugins; alone it is `list`."""


@click.command("list", context_settings=HELP_NAMES)
@json_option
@config_options
def list_plugins(config: Path | None, settings: Given) -> None:
    """List the installed plugins, those that the config enables first, and by which line of it."""
    from dovetail.host.discovery import discover

    found = discover()
    understood, wrong = _read(config, settings)
    enabled = enabled_by(understood) if understood else {}
    rows = [_row(record, enabled.get(record.plugin_id, [])) for record in found.values()]
    rows += [_missing(plugin, where) for plugin, where in enabled.items() if plugin not in found]
    rows.sort(key=lambda row: (not row["enabled"], row["id"]))
    if current_state().as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
    else:
        _show(rows)
    if wrong is not None:
        raise wrong


def enabled_by(config: Config) -> dict[str, list[str]]:
    """By plugin id the places of the config that name it."""
    places: dict[str, list[str]] = {}
    for entry in config.entries:
        written = entry.path in config.raw.origins
        where = config.where(entry.path) if written else "by default"
        places.setdefault(entry.plugin, []).append(where)
    return places


def _read(config: Path | None, settings: Given) -> tuple[Config | None, ConfigError | None]:
    """The config as far as it can be read, and what is wrong with it."""
    from dovetail.config import read_entries

    try:
        understood, problems = read_entries(read(config, settings))
    except ConfigNotFound as error:
        return None, error if config else None
    except ConfigError as error:
        return None, error
    return understood, ConfigError(problems) if problems else None


def _row(record: PluginRecord, enabled: list[str]) -> dict[str, Any]:
    return {
        "id": record.plugin_id,
        "distribution": record.distribution,
        "version": record.version,
        "enabled": bool(enabled),
        "enabled_by": enabled,
        "problem": _problem(record),
    }


def _missing(plugin: str, enabled: list[str]) -> dict[str, Any]:
    problem = f"not installed; by its usual name: pip install dovetail-{plugin}"
    return {
        "id": plugin,
        "distribution": "",
        "version": "",
        "enabled": True,
        "enabled_by": enabled,
        "problem": problem,
    }


def _problem(record: PluginRecord) -> str:
    """Why it could not be used, as far as that shows without loading it."""
    from dovetail.host.discovery import API

    if record.clash:
        others = ", ".join(f"{other.distribution} {other.version}" for other in record.clash)
        return f"{others} offers the same id; uninstall one"
    if record.api != API:
        return f"for plugin API {record.api}, this kernel speaks {API}"
    return ""


def _show(rows: list[dict[str, Any]]) -> None:
    table = [("ID", "DISTRIBUTION", "VERSION", "ENABLED", "")]
    for row in rows:
        enabled = ", ".join(row["enabled_by"]) or "no"
        problem = f"! {row['problem']}" if row["problem"] else ""
        table.append((row["id"], row["distribution"], row["version"], enabled, problem))
    show_table(table)
