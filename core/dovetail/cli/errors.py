"""Errors as a person, or with `--json` a program, gets them: on stderr, without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dovetail.errors import DovetailError, ProviderError, StartError
from dovetail.redaction import redact

if TYPE_CHECKING:
    from dovetail.cli.state import State
    from dovetail.errors import Problem
    from dovetail.host.records import Failure


class WrongUse(click.ClickException):
    """What was given cannot be used; exit code 2, without a reminder of the options."""

    exit_code = 2


class Interrupted(DovetailError):
    """Ctrl-C; told as an error where errors are JSON."""


def report(error: Exception, state: State) -> None:
    """Write what `error` says; with its traceback if that was asked for."""
    if state.debug:
        import traceback

        text = "".join(traceback.format_exception(error))
        click.echo(redact(text, state.secrets), err=True, nl=False)
    if state.as_json:
        import json

        text = json.dumps({"error": error_as_json(error, state.secrets)}, ensure_ascii=False)
        click.echo(text, err=True)
    else:
        click.echo(f"dovetail: {redact(_words(error, debug=state.debug), state.secrets)}", err=True)


def error_as_json(error: Exception, secrets: set[str]) -> dict[str, Any]:
    """The error as JSON values: its type, its words and what is known beside them."""
    words = error.message if isinstance(error, click.ClickException) else str(error)
    told: dict[str, Any] = {"type": type(error).__name__, "message": words}
    if isinstance(error, StartError):
        told["problems"] = [problem_as_json(problem) for problem in error.problems]
        told["failures"] = [failure_as_json(failure) for failure in error.failures]
    if isinstance(error, ProviderError):
        from dataclasses import asdict

        told["details"] = {key: value for key, value in asdict(error.details).items() if value}
    redacted: dict[str, Any] = _redacted(told, secrets)
    return redacted


def problem_as_json(problem: Problem) -> dict[str, Any]:
    """A mistake in the config as JSON values."""
    return {"where": problem.where, "message": problem.message, "hint": problem.hint}


def failure_as_json(failure: Failure) -> dict[str, Any]:
    """A failed plugin as JSON values."""
    from dovetail.host.records import describe

    return {
        "plugin": failure.plugin_id,
        "distribution": failure.distribution,
        "version": failure.version,
        "component": failure.component,
        "stage": str(failure.stage),
        "message": describe(failure.cause),
        "hint": failure.hint,
    }


def _words(error: Exception, *, debug: bool) -> str:
    if isinstance(error, click.ClickException):
        return error.message
    if isinstance(error, DovetailError | OSError) and str(error):
        return str(error)
    words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    advice = "" if debug else "; `dovetail --debug …` shows where"
    return f"this is a mistake in dovetail or a plugin: {words}{advice}"


def _redacted(value: Any, secrets: set[str]) -> Any:
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, dict):
        return {key: _redacted(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(item, secrets) for item in value]
    return value
