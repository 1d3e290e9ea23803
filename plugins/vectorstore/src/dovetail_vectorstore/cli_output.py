"""What the commands show."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dovetail_vectorstore.ingested import State
from dovetail_vectorstore.passages import body_of, place_of_hit
from dovetail_vectorstore.walking import is_in, source_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dovetail_vectorstore.ingested import Ingested
    from dovetail_vectorstore.items import Hit, Stats

LINES = 6
"""Lines that are shown of a passage."""
# What could move a terminal's cursor or worse: the words are a document's.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def write_json(value: object) -> None:
    """A value on stdout, on one line."""
    click.echo(json.dumps(value, ensure_ascii=False))


def clean(text: str) -> str:
    """A document's words without what a terminal would obey."""
    return _CONTROLS.sub("", text)


def on_a_line(text: str) -> str:
    """The same where it is a name: one that holds line breaks is no two of them."""
    return clean(" ".join(text.splitlines()))


def count_of(number: int, what: str) -> str:
    """`1 document`, `2 documents`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def show_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns; the first row is their heads."""
    lines = [[on_a_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def show_ingested(result: Ingested) -> None:
    """What came of `add`: what failed on stderr, numbers on stdout."""
    for failed in result.failed:
        click.echo(f"{on_a_line(failed.source)}: {clean(failed.reason)}", err=True)
    numbers = {
        "added": len(result.added),
        "changed": len(result.changed),
        "unchanged": len(result.unchanged),
        "removed": len(result.removed),
        "failed": len(result.failed),
    }
    said = ", ".join(f"{number:,} {how}" for how, number in numbers.items() if number)
    click.echo(f"{said or 'no documents'}; {count_of(result.chunks, 'chunk')} stored")


def show_hits(hits: Iterable[Hit]) -> None:
    """Each passage under its place."""
    for number, hit in enumerate(hits):
        place = click.style(clean(place_of_hit(hit)), bold=True)
        lines = clean(body_of(hit.text, hit.metadata)).strip().split("\n")
        more = ["…"] if len(lines) > LINES else []
        shown = "\n".join(f"    {line}".rstrip() for line in [*lines[:LINES], *more])
        click.echo(f"{'' if not number else chr(10)}{hit.score:.3f}  {place}\n{shown}")


def hit_as_json(hit: Hit) -> dict[str, Any]:
    """A passage as JSON values."""
    return {
        "id": hit.id,
        "score": hit.score,
        "source": hit.source,
        "text": hit.text,
        "metadata": dict(hit.metadata),
    }


def stats_as_json(stats: Stats) -> dict[str, Any]:
    """What is known of a collection as JSON values."""
    known = asdict(stats)
    return {**known.pop("collection"), **known}


def show_stats(found: Iterable[Stats]) -> None:
    """A row for each collection."""
    rows = [
        ("COLLECTION", "MODEL", "DIMENSION", "CHUNKS", "WAITING", "DOCUMENTS", "DISK", "BACKEND")
    ]
    for stats in found:
        known = stats.collection
        rows.append(
            (
                known.name,
                known.model,
                str(known.dimension or ""),
                f"{known.items:,}",
                f"{known.pending:,}",
                f"{stats.sources:,}",
                f"{stats.disk_bytes / 1e6:,.1f} MB",
                stats.backend,
            )
        )
    show_table(rows)


def state_of(done: int, total: int) -> State:
    """How far a reindex is."""
    return State(done, total)


def is_meant(source: str, names: Iterable[str]) -> bool:
    """Whether one of `names` is the document's, or its folder's, as written here or in the list."""
    for name in names:
        meant = [name.rstrip("/") or name]
        if name:  # who stored something without a source finds it by no name at all
            meant.append(source_of(Path(name), Path()))
        if any(is_in(source, top) for top in meant):
            return True
    return False
