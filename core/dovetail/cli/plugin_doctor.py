"""`dovetail plugins doctor`: what the config names, loaded and started, one by one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from dovetail.cli.app import OWN
from dovetail.cli.errors import failure_as_json, problem_as_json
from dovetail.cli.lazy import HELP_NAMES
from dovetail.cli.logs import configure_logs
from dovetail.cli.options import config_options, json_option, read
from dovetail.cli.running import run_async
from dovetail.cli.state import current_state
from dovetail.cli.survey import survey
from dovetail.cli.tables import show_table
from dovetail.host.discovery import discover_commands
from dovetail.host.lifecycle import start_all, stop_all
from dovetail.host.records import PluginRecord
from dovetail.host.telling import table_of
from dovetail.redaction import redact

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail.cli.options import Given
    from dovetail.cli.survey import Survey
    from dovetail.component import Component
    from dovetail.config import RawConfig
    from dovetail.host.lifecycle import Instance
    from dovetail.host.planning import Key, Planned
    from dovetail.host.records import Failure


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one component, or of a plugin that gave none."""

    table: str
    record: PluginRecord
    state: str
    start_ms: float | None = None
    failure: Failure | None = None

    def as_json(self) -> dict[str, Any]:
        """Its JSON values."""
        seconds = self.record.import_seconds
        return {
            "table": self.table,
            "plugin": self.record.plugin_id,
            "distribution": self.record.distribution,
            "version": self.record.version,
            "state": self.state,
            "import_ms": None if seconds is None else round(seconds * 1000, 1),
            "start_ms": self.start_ms,
            "failure": failure_as_json(self.failure) if self.failure else None,
        }


@click.command(context_settings=HELP_NAMES)
@json_option
@config_options
@click.pass_context
def doctor(context: click.Context, config: Path | None, settings: Given) -> None:
    """Load and start everything the config names, and tell how that went.

    The exit code is 1 if anything failed, what is marked optional too.
    """
    configure_logs(current_state())
    found, findings = run_async(_examine(read(config, settings)))
    hidden = _hidden_commands()
    healthy = not found.problems and all(finding.failure is None for finding in findings)
    if current_state().as_json:
        _show_json(found, findings, hidden, healthy=healthy)
    else:
        _show(found, findings)
        for line in hidden:
            click.echo(f"\n{line}")
    context.exit(0 if healthy else 1)


async def _examine(raw: RawConfig) -> tuple[Survey, list[Finding]]:
    found = await survey(raw)
    findings = [_failed(found, one) for one in (*found.plan.failures, *found.plan.quarantined)]
    started: list[Instance] = []
    try:
        findings += await _start(found, started)
    finally:
        stopped = await stop_all(started, found.kernel.stop_timeout)
    findings += [_failed(found, failure) for failure in stopped]
    return found, findings


async def _start(found: Survey, started: list[Instance]) -> list[Finding]:
    """Start one after the other, to know how long each takes; what is needed comes first."""
    running: dict[Key, Component] = {}
    findings: list[Finding] = []
    waiting = list(found.plan.planned)
    while waiting:
        coming = {p.key for p in waiting}
        # Providers that need each other are a problem of the plan, and none of them is started.
        planned = next((p for p in waiting if not p.needs & coming), None)
        if planned is None:
            break
        waiting.remove(planned)
        before = time.perf_counter()
        failed = await start_all([planned], running, found.kernel, started)
        milliseconds = round((time.perf_counter() - before) * 1000, 1)
        failure = failed[0][1] if failed else None
        if failure is None:
            running[planned.key] = started[-1].component
        findings.append(_finding(planned, milliseconds, failure))
    return findings


def _finding(planned: Planned, milliseconds: float, failure: Failure | None) -> Finding:
    state = "failed" if failure else "started"
    return Finding(table_of(planned), planned.record, state, milliseconds, failure)


def _failed(found: Survey, failure: Failure) -> Finding:
    record = found.records.get(failure.plugin_id) or PluginRecord(failure.plugin_id, "")
    return Finding(failure.component or failure.plugin_id, record, "failed", failure=failure)


def _hidden_commands() -> list[str]:
    """What is said of each plugin's command that cannot be called, since dovetail has its name."""
    return [
        f"the command `{name}` of `{distribution}` cannot be called: `dovetail {name}` is "
        f"dovetail's own\n    → tell the author of `{distribution}` to name it otherwise"
        for name, (_, distribution) in sorted(discover_commands().items())
        if name in OWN
    ]


def _show_json(found: Survey, findings: list[Finding], hidden: list[str], *, healthy: bool) -> None:
    import json

    told = {
        "healthy": healthy,
        "problems": [problem_as_json(problem) for problem in found.problems],
        "components": [finding.as_json() for finding in findings],
        "hidden_commands": hidden,
    }
    click.echo(redact(json.dumps(told, ensure_ascii=False), current_state().secrets))


def _show(found: Survey, findings: list[Finding]) -> None:
    secrets = current_state().secrets
    rows = [("STATE", "TABLE", "DISTRIBUTION", "IMPORT", "START")]
    for finding in findings:
        told = finding.as_json()
        import_ms, start_ms = told["import_ms"], told["start_ms"]
        rows.append(
            (
                finding.state,
                finding.table,
                f"{told['distribution']} {told['version']}".strip(),
                "" if import_ms is None else f"{import_ms:g} ms",
                "" if start_ms is None else f"{start_ms:g} ms",
            )
        )
    show_table(rows)
    for thing in (*found.problems, *(f.failure for f in findings if f.failure)):
        click.echo(f"\n{redact(str(thing), secrets)}")
