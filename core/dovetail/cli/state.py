"""What the parts of one command's run share."""

from __future__ import annotations

from dataclasses import dataclass, field

import click


@dataclass(slots=True)
class State:
    """Set by the options, read where something is shown."""

    debug: bool = False
    """Whether errors come with their traceback."""
    as_json: bool = False
    """Whether results and errors are JSON."""
    secrets: set[str] = field(default_factory=set, repr=False)
    """The config's secrets: masked in all that goes to stderr."""


def current_state() -> State:
    """The state of the command that runs."""
    return click.get_current_context().ensure_object(State)


def note(text: str) -> None:
    """A line for the person, beside the result: on stderr, without secrets."""
    from dovetail.redaction import redact

    click.echo(f"dovetail: {redact(text, current_state().secrets)}", err=True)
