"""`dovetail config explain`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from dovetail.cli.lazy import HELP_NAMES
from dovetail.cli.logs import configure_logs
from dovetail.cli.options import config_options, json_option, read
from dovetail.cli.running import run_async
from dovetail.cli.state import current_state, note
from dovetail.cli.survey import survey
from dovetail.cli.tables import show_table
from dovetail.component import settings_type
from dovetail.config.entries import RESERVED_KEYS
from dovetail.config.explain import Row, default_values
from dovetail.config.explain import explain as explain_values
from dovetail.config.places import dotted
from dovetail.config.raw import leaves
from dovetail.config.shape import secret_paths
from dovetail.errors import ConfigError, PluginError
from dovetail.events.in_process import InProcessBusSettings
from dovetail.host.options import ChatOptions, KernelOptions, PipelineOptions
from dovetail.host.parts import part_entries
from dovetail.host.planning import HOOK_OF, choose
from dovetail.sessions.manager import SessionOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import BaseModel

    from dovetail.cli.options import Given
    from dovetail.cli.survey import Survey
    from dovetail.component import Settings
    from dovetail.config import Entry, RawConfig
    from dovetail.config.places import KeyPath


@click.command(context_settings=HELP_NAMES)
@json_option
@config_options
def explain(config: Path | None, settings: Given) -> None:
    """Show each value of the config and where it came from; secrets are masked.

    The plugins that it names are loaded, to know their defaults and what of them is secret.
    """
    configure_logs(current_state())
    raw = read(config, settings)
    found = run_async(survey(raw))
    secret: set[KeyPath] = set()
    models: list[tuple[type[BaseModel], KeyPath]] = [
        (ChatOptions, ("chat",)),
        (KernelOptions, ("kernel",)),
        (SessionOptions, ("sessions",)),
        (InProcessBusSettings, ("bus",)),
        (PipelineOptions, ("pipeline",)),
    ]
    for entry in _entries(found):
        secret |= set(_secrets(found, entry))
        if model := _model(found, entry):
            models.append((model, entry.path))
    rows = _rows(raw, secret, models)
    if current_state().as_json:
        told = [
            {"key": row.key, "value": row.shown, "layer": row.layer, "source": row.source}
            for row in rows
        ]
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        show_table([(f"{row.key} = {row.shown}", row.source or row.layer) for row in rows])
    if found.problems:
        raise ConfigError(found.problems)
    for failure in found.plan.failures:
        note(f"its values are masked, since they may be secret: {failure}")


def _rows(
    raw: RawConfig, secret: set[KeyPath], models: list[tuple[type[BaseModel], KeyPath]]
) -> list[Row]:
    """What is written, then every other key of each table with its default."""
    defaults: dict[KeyPath, object] = {}
    for model, table in models:
        defaults |= default_values(model, table)
    found = explain_values(raw, secret_paths=secret, defaults=defaults)
    rows = [row for row in found if row.layer != "default"]
    known = {row.path: _plainly(row) for row in found if row.layer == "default"}
    for model, table in models:
        for path in _without_value(model, table) - raw.origins.keys():
            known[path] = Row(path, dotted(path), "none", "default", "", masked=False)
        rows += [known[path] for path in _paths(model, table) if path in known]
    return rows


def _paths(model: type[BaseModel], table: KeyPath) -> list[KeyPath]:
    """All keys of a table, in the model's order."""
    return [(*table, field.alias or name) for name, field in model.model_fields.items()]


def _without_value(model: type[BaseModel], table: KeyPath) -> set[KeyPath]:
    """The keys whose default is none."""
    fields = zip(_paths(model, table), model.model_fields.values(), strict=True)
    return {path for path, field in fields if field.default is None and not field.is_required()}


def _plainly(row: Row) -> Row:
    """A default as the documentation writes it."""
    shown = "none" if row.shown == '""' else row.shown.removesuffix(".0")
    return replace(row, shown=shown)


def _entries(found: Survey) -> list[Entry]:
    """The tables of the config, [plugins.ID] by the parts of the plugin if that is loaded."""
    by_plugin: dict[str, list[Entry]] = {}
    for entry in found.config.entries:
        by_plugin.setdefault(entry.plugin, []).append(entry)
    entries: list[Entry] = []
    for plugin_id, tables in by_plugin.items():
        record = found.records.get(plugin_id)
        loaded = record is not None and record.loaded
        entries += (entry for entry in tables if not (loaded and entry.kind == "plugin"))
        if record is not None and loaded:
            entries += (entry for _, entry in part_entries(record, tables))
    return entries


def _model(found: Survey, entry: Entry) -> type[Settings] | None:
    """The settings model that `entry` is for, if its plugin could be loaded and takes any."""
    record = found.records.get(entry.plugin)
    if entry.kind == "plugin" or record is None or not record.loaded:
        return None
    try:
        return settings_type(choose(record, HOOK_OF[entry.kind], entry.component))
    except PluginError:
        return None


def _secrets(found: Survey, entry: Entry) -> Iterator[KeyPath]:
    """The paths of its secret values: all of them where nobody can tell."""
    model = _model(found, entry)
    if model is not None:
        yield from secret_paths(model, entry.values, entry.path)
        return
    for below, _ in leaves(entry.values):
        if below and below[0] not in RESERVED_KEYS[entry.kind]:
            yield (*entry.path, *below)
