"""Running one command, and what becomes of its errors."""

from __future__ import annotations

import os
import sys

import click

from dovetail.cli.app import app
from dovetail.cli.errors import WrongUse, report
from dovetail.cli.state import State


def run(arguments: list[str]) -> int:
    """Run the command that `arguments` name and give its exit code; errors go to stderr."""
    state = State()
    code = 1
    try:
        with app.make_context("dovetail", list(arguments), obj=state) as context:
            app.invoke(context)
        code = 0
    except click.exceptions.Exit as leaving:
        code = leaving.exit_code
    except click.Abort:
        click.echo("dovetail: aborted", err=True)
    except BrokenPipeError:
        _forget_stdout()
    except WrongUse as error:
        report(error, state)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except Exception as error:  # noqa: BLE001 - the last boundary: a person wants a line, not a traceback
        report(error, state)
    try:
        sys.stdout.flush()
    except OSError:  # what there was to say of it has been said above
        _forget_stdout()
        code = 1
    return code


def prepare_streams() -> None:
    """Let no character that an answer may hold be one too many for stdout and stderr."""
    if sys.stdout is None:  # a process may be started without them
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - as long as the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - as above
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is None:
            continue
        if stream.isatty() or "PYTHONIOENCODING" in os.environ:
            reconfigure(errors="replace")
        else:
            reconfigure(encoding="utf-8", errors="replace")


def _forget_stdout() -> None:
    """Nobody reads it any more: what is still in the buffer shall not complain at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
