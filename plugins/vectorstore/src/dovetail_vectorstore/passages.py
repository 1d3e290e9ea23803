"""Passages: what was found, as a model and a reader see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dovetail_vectorstore.splitting import split
from dovetail_vectorstore.tokens import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from dovetail_vectorstore.items import Hit
    from dovetail_vectorstore.tokens import TokenCounter


@dataclass(frozen=True, slots=True)
class Passages:
    """What was found for a question."""

    text: str = ""
    """The passages under their places; empty if there are none."""
    places: tuple[str, ...] = ()
    """Where those stand that are in the text."""


WORTH = 16
"""Tokens below which the beginning of a passage is not worth its place."""


def place_of(source: str, metadata: Mapping[str, Any]) -> str:
    """Where a passage stands: `docs/plugins.md, "The module", lines 6 to 44`."""
    parts = [source or "unknown"]
    if headings := _headings(metadata):
        parts.append(f'"{headings}"')
    for one, many, end in (("page", "pages", "end_page"), ("line", "lines", "end_line")):
        first, last = metadata.get(one), metadata.get(end)
        if first is not None:
            parts.append(f"{one} {first}" if last in (None, first) else f"{many} {first} to {last}")
    return " ".join(", ".join(parts).splitlines())  # names of files may hold anything


def place_of_hit(hit: Hit) -> str:
    """The same for what was found; of what was said in a turn also the day, in UTC."""
    place = place_of(hit.source, hit.metadata)
    return f"{place}, {hit.item.added:%Y-%m-%d}" if hit.metadata.get("kind") == "turn" else place


def body_of(text: str, metadata: Mapping[str, Any]) -> str:
    """A passage without the headings that stand above it in the store."""
    headings = _headings(metadata)
    return text.removeprefix(f"{headings}\n\n") if headings else text


def _headings(metadata: Mapping[str, Any]) -> str:
    """The headings above a passage; who stored it may have written anything there."""
    headings = metadata.get("headings")
    return " > ".join(map(str, headings)) if isinstance(headings, (list, tuple)) else ""


def passages(hits: Iterable[Hit], budget: int, count: TokenCounter = estimate_tokens) -> Passages:
    """The passages with their places, numbered, the best first, in at most `budget` tokens.

    The last may be cut between sentences.
    """
    texts: list[str] = []
    places: list[str] = []
    for number, hit in enumerate(hits, 1):
        place = place_of_hit(hit)
        above = f"[{number}] {place}\n"
        budget -= count(above)
        body = body_of(hit.text, hit.metadata)
        fits = count(body) <= budget
        if not fits:
            body = _beginning(body, budget, count) if budget >= WORTH else ""
        if body:
            texts.append(f"{above}{body}")
            places.append(place)
        if not fits:
            break
        budget -= count(body)
    return Passages("\n\n".join(texts), tuple(places))


def _beginning(text: str, limit: int, count: TokenCounter) -> str:
    """The first sentences, or lines, of a text that has more than `limit` tokens."""
    end = 0
    for _, stop in split(text, max(1, limit // 4), count, code=False):
        if count(text[:stop]) > limit - 1:
            break
        end = stop
    return f"{text[:end]}…" if end else ""
