"""Columns of text about models."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from dovetail_ollama.progress import clean, size_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail_ollama.models import LocalModel, ModelCard, RunningModel

LOCAL = ("NAME", "SIZE", "PARAMETERS", "QUANTIZATION", "MODIFIED")
RUNNING = ("NAME", "SIZE", "ON GPU", "CONTEXT", "FOR")
FOR_EVER = 100 * 365
"""Days after which a model that is kept for ever is said to be unloaded."""


def local_row(model: LocalModel) -> tuple[str, ...]:
    """The cells below `LOCAL`."""
    details = model.details
    return (
        model.name,
        size_text(model.size),
        (details and details.parameter_size) or "",
        (details and details.quantization_level) or "",
        model.modified_at.strftime("%Y-%m-%d") if model.modified_at else "",
    )


def running_row(model: RunningModel) -> tuple[str, ...]:
    """The cells below `RUNNING`."""
    share = f"{100 * model.size_vram // model.size} %" if model.size else ""
    context = f"{model.context_length:,}" if model.context_length else ""
    return (model.name, size_text(model.size), share, context, _left(model.expires_at))


def _left(until: datetime | None) -> str:
    """How long a model stays."""
    if until is None:
        return ""
    left = (until if until.tzinfo else until.replace(tzinfo=UTC)) - datetime.now(UTC)
    if left.days > FOR_EVER:
        return "ever"
    minutes = max(round(left.total_seconds() / 60), 0)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"


def card_rows(card: ModelCard, num_ctx: int) -> list[tuple[str, ...]]:
    """A name and a value for each thing that is known of a model."""
    details = card.details
    rows = [
        ("family", (details and details.family) or ""),
        ("parameters", (details and details.parameter_size) or ""),
        ("quantization", (details and details.quantization_level) or ""),
        ("trained on", f"{card.context_length:,} tokens" if card.context_length else ""),
        ("asked for", f"{num_ctx:,} tokens (num_ctx)"),
        ("can do", ", ".join(card.capabilities or ())),
    ]
    rows += [("set to", " ".join(line.split())) for line in (card.parameters or "").splitlines()]
    return [row for row in rows if row[1]]


def show_table(rows: Sequence[Sequence[str]]) -> None:
    """Write rows on stdout, each column as wide as its widest cell."""
    rows = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
