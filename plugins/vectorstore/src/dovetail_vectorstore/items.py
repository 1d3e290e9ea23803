"""What is kept and found: items, what a search gives, and what is known of a collection."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    Vector: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Item:
    """Something to keep."""

    text: str
    """What is embedded, searched and shown."""
    source: str = ""
    """Where it is from, such as a path or a URL."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What else is known of it, as JSON has it; filters look at this."""
    id: str = ""
    """Unique within its owner and collection; made of source and text where it is empty."""
    vector: Sequence[float] | None = None
    """Made by the embedding model where it is not given."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An item as it is kept."""

    id: str
    text: str
    source: str
    metadata: Mapping[str, Any]
    owner: str
    """Whose it is, as `Scope.owner` says it."""
    content_hash: str
    """SHA-256 of the text, in hexadecimal."""
    added: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When this text came in, in UTC."""

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from every other in its collection."""
        return self.owner, self.id


@dataclass(frozen=True, slots=True)
class Row:
    """What a backend is given to keep: an item, and its vector of length 1.

    Without a vector the one that is there stays if the text is the same; otherwise it is pending.
    """

    item: Stored
    vector: Vector | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """What a search found."""

    item: Stored
    score: float
    """How well it fits, more is better: for vectors the cosine, -1 to 1; for texts BM25, above 0;
    for both fused, 0 to 1, where 1 is what both put first."""

    @property
    def id(self) -> str:
        """The item's id."""
        return self.item.id

    @property
    def text(self) -> str:
        """The item's text."""
        return self.item.text

    @property
    def source(self) -> str:
        """Where the item is from."""
        return self.item.source

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What else is known of the item."""
        return self.item.metadata


@dataclass(frozen=True, slots=True)
class Refused:
    """An item that was not kept."""

    index: int
    """Its place among those that were given, from 0."""
    item: Item
    reason: str
    """Why, in words."""


@dataclass(frozen=True, slots=True)
class Added:
    """What came of adding items. Each that was given is counted once."""

    ids: tuple[str | None, ...] = ()
    """The id of each item that was given, in order; None where it was refused."""
    added: int = 0
    updated: int = 0
    """Those that were there with another text, source, vector or metadata."""
    unchanged: int = 0
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True)
class Collection:
    """What is known of a collection at once."""

    name: str
    model: str
    """The embedding model that made its vectors; empty while there is none, or nobody said."""
    dimension: int | None
    """How many numbers a vector has; None while there is none."""
    items: int
    pending: int = 0
    """Of these, how many have no vector: only their text is found until a reindex."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where items are from, and how many."""

    source: str
    items: int


@dataclass(frozen=True, slots=True)
class Stats:
    """What is known of a collection, some of it counted when it is asked for."""

    collection: Collection
    sources: int
    owners: int
    disk_bytes: int
    """What it takes on disk; a file that holds several collections is told whole."""
    backend: str
    details: Mapping[str, Any] = field(default_factory=dict)
    """What only this backend knows, such as how many vectors its index has taken in."""
