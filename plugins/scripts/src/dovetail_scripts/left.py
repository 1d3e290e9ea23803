"""What a script leaves: its variables, which come as JSON, and the value of its last line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dovetail_scripts.data import Allowance, NotData, TooLong, copied
from dovetail_scripts.errors import Place, ScriptOutputTooLong
from dovetail_scripts.models import ScriptExecutionResult

if TYPE_CHECKING:
    from dovetail_scripts.job import Job

_ESCAPED = 12
"""How long one character may get in JSON."""


def left_by(job: Job, texts: object, value: object) -> ScriptExecutionResult:
    """The result, from variables as a script's interpreter gave them: JSON by name, or None.

    Nothing is taken on trust: a script may have made up what stands there.

    Raises:
        ScriptOutputTooLong: it printed or left more than it may.
    """
    order = job.order
    variables: dict[str, Any] = {}
    skipped: list[str] = []
    allowance = Allowance(order.limits.output)
    try:
        if job.too_much:
            raise TooLong(f"{order.limits.output:,} characters")
        for name, text in _named(texts):
            try:
                found = copied(_parsed(text, order.limits.output), allowance)
            except NotData:
                if name not in order.inputs and not order.calls.knows(name):
                    skipped.append(name)
                continue
            if name not in order.inputs or order.inputs[name] != found:
                variables[name] = found
        last = _or_none(value, allowance)
    except TooLong as error:
        message = f"it printed or left more than {error}: see `output_limit`"
        raise ScriptOutputTooLong(message, Place(order.name), job.output) from None
    return ScriptExecutionResult(
        variables,
        job.output,
        last,
        job.seconds,
        dict(order.calls.counts),
        tuple(skipped),
    )


def _named(texts: object) -> list[tuple[str, object]]:
    """The variables with names that a script can write and means to leave."""
    if not isinstance(texts, dict):
        return []
    return [
        (name, text)
        for name, text in texts.items()
        if isinstance(name, str) and name.isidentifier() and not name.startswith("_")
    ]


def _parsed(text: object, limit: int) -> Any:
    if not isinstance(text, str):
        raise NotData("nothing")
    if len(text) > (limit + 1) * _ESCAPED:
        raise TooLong(f"{limit:,} characters")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotData("no JSON") from error


def _or_none(value: object, allowance: Allowance) -> Any:
    try:
        return copied(value, allowance)
    except NotData:
        return None
