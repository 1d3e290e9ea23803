"""What came of taking documents in, and how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class State:
    """How far it is."""

    done: float
    """Bytes of the files that are done."""
    total: int
    """Bytes of all files."""
    source: str = ""
    """The document that was done last."""


Progress: TypeAlias = Callable[[State], object]


@dataclass(frozen=True, slots=True)
class Failed:
    """A document that could not be taken in."""

    source: str
    reason: str


@dataclass(slots=True)
class Ingested:
    """What came of it: sources, in the order of their paths."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    """Those that were there and whose files are gone; only if that was asked for."""
    failed: list[Failed] = field(default_factory=list)
    chunks: int = 0
    """How many were stored."""
