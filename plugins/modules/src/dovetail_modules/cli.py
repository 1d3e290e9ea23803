"""`dovetail modules`: look at modules, try one, check them all."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
import structlog

from dovetail import Kernel
from dovetail_modules.checking import all_problems, shadowed
from dovetail_modules.drawing import Drawing
from dovetail_modules.errors import ModuleMissing
from dovetail_modules.service import ModuleService
from dovetail_modules.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dovetail import SyncKernel
    from dovetail_modules.sourced import Snapshot, SourcedModule

F = TypeVar("F", bound="Callable[..., Any]")

HELP_NAMES = {"help_option_names": ["-h", "--help"]}
HEAD = ("NAME", "KIND", "TIMING", "FROM", "DESCRIPTION")

as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON.")
with_config = click.option(
    "-c", "--config", type=click.Path(), help="The config file; else the nearest."
)


@click.group(context_settings=HELP_NAMES)
def modules() -> None:
    """Look at the modules of personas, try one, check them all."""


@modules.command("list", context_settings=HELP_NAMES)
@as_json
@with_config
def list_(*, as_json: bool, config: str | None) -> None:
    """List the modules there are."""
    with _opened(config) as (kernel, service):
        snapshot = kernel.call(service.modules())
        for broken in snapshot.broken:
            click.echo(f"cannot be used: {broken.problem}", err=True)
        found = [snapshot.modules[name] for name in sorted(snapshot.modules)]
        if as_json:
            click.echo(json.dumps([_as_dict(module) for module in found], ensure_ascii=False))
        elif found:
            _show_table([HEAD, *map(_row, found)])
        else:
            click.echo("there are no modules; see `folder` of [plugins.modules]", err=True)


@modules.command(context_settings=HELP_NAMES)
@click.argument("name")
@as_json
@with_config
def show(name: str, *, as_json: bool, config: str | None) -> None:
    """Show the module NAME: what it says of itself, and its text."""
    with _opened(config) as (kernel, service):
        found = _find(kernel.call(service.modules()), name)
    values = _as_dict(found)
    if as_json:
        click.echo(json.dumps(values, ensure_ascii=False))
        return
    bodies = {key: values.pop(key) for key in ("content", "script") if values.get(key)}
    _show_table([(key, _cell(value)) for key, value in values.items()])
    for key, text in bodies.items():
        click.echo(f"\n{key}:\n{text}")


@modules.command(context_settings=HELP_NAMES)
@click.argument("name")
@click.option(
    "--context",
    "given",
    default="{}",
    help="JSON with any of: message, response, user, session, persona, history, state, tags, "
    "trigger_context.",
)
@as_json
@with_config
def run(name: str, given: str, *, as_json: bool, config: str | None) -> None:
    """Have the module NAME work once, with those it names; nothing is kept.

    What it comes to is its text, on stdout.
    """
    trial = Trial.parse(given)
    with _opened(config) as (kernel, service):
        _find(kernel.call(service.modules()), name)
        result = kernel.call(trial.run(service, name))
    if as_json:
        click.echo(result.model_dump_json())
    else:
        if result.text:
            click.echo(result.text)
        for key, values in result.variables.items():
            click.echo(f"{key}: {json.dumps(values, ensure_ascii=False)}", err=True)
        if result.skipped:
            click.echo("it does not act in this context: see its `when`", err=True)
    for error in result.errors:
        click.echo(error, err=True)
    click.get_current_context().exit(1 if result.errors else 0)


@modules.command(context_settings=HELP_NAMES)
@as_json
@with_config
def check(*, as_json: bool, config: str | None) -> None:
    """Read every module and template, and tell of everything that is wrong."""
    with _opened(config) as (kernel, service):
        problems = kernel.call(all_problems(service.shared, _personas(kernel)))
        snapshot = kernel.call(service.modules())
        notes = shadowed(snapshot)
    if as_json:
        told = [{"where": p.where, "message": p.message, "hint": p.hint} for p in problems]
        click.echo(json.dumps({"problems": told, "notes": notes}, ensure_ascii=False))
    else:
        for problem in problems:
            click.echo(str(problem))
        for note in notes:
            click.echo(f"note: {note}")
        if not problems:
            click.echo(f"{len(snapshot.modules)} modules, nothing is wrong with them")
    click.get_current_context().exit(1 if problems else 0)


@modules.command(context_settings=HELP_NAMES)
@click.option("--format", "look", type=click.Choice(["tree", "mermaid"]), default="tree")
@with_config
def graph(look: str, config: str | None) -> None:
    """Draw which persona and which module names which."""
    with _opened(config) as (kernel, service):
        drawing = Drawing(kernel.call(service.modules()), _personas(kernel))
    for line in drawing.mermaid() if look == "mermaid" else drawing.tree():
        click.echo(line)


@contextmanager
def _opened(config: str | None) -> Iterator[tuple[SyncKernel, ModuleService]]:
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),  # stdout is for the result
    )
    with Kernel.sync(config) as kernel:
        services = kernel.kernel.services
        if not services.has_service(ModuleService.name):
            raise click.UsageError("the config names no modules: write [plugins.modules] into it")
        yield kernel, services.get(ModuleService.name)


def _personas(kernel: SyncKernel) -> dict[str, str]:
    personas = kernel.kernel.generation.personas
    return {name: persona.template for name, persona in personas.items()}


def _find(snapshot: Snapshot, name: str) -> SourcedModule:
    found = snapshot.modules.get(name)
    if found is None:
        told = [str(broken.problem) for broken in snapshot.broken if broken.name == name]
        names = ", ".join(f"`{known}`" for known in sorted(snapshot.modules)) or "none"
        raise ModuleMissing("\n".join(told) or f"there is no module `{name}` (modules: {names})")
    return found


def _as_dict(found: SourcedModule) -> dict[str, Any]:
    values = found.definition.model_dump(mode="json", exclude_defaults=True)
    kind, timing = str(found.definition.kind), str(found.definition.timing)
    return {"from": found.where, **values, "kind": kind, "timing": timing}


def _row(found: SourcedModule) -> tuple[str, ...]:
    module = found.definition
    return (module.name, module.kind, module.timing, found.where, module.description)


def _cell(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _show_table(rows: list[tuple[str, ...]]) -> None:
    """Write rows on stdout, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
