"""Vectors out of what a server answers."""

from __future__ import annotations

import base64
import sys
from array import array
from typing import TYPE_CHECKING, Any

from dovetail import InvalidRequest, InvalidResponse
from dovetail_openai.response_parser import check

if TYPE_CHECKING:
    from collections.abc import Sequence


def vectors_of(raw: Any, texts: Sequence[str], dimensions: int | None) -> list[tuple[float, ...]]:
    """A vector for each of `texts`, in their order.

    Raises:
        ProviderError: the server says that something went wrong.
        InvalidResponse: there are not as many as texts, or they are no vectors.
        InvalidRequest: they have other `dimensions` than those asked for.
    """
    check(raw)
    items = raw.get("data")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidResponse("the answer has no list of embeddings")
    if len(items) != len(texts):
        raise InvalidResponse(f"{len(texts)} texts got {len(items)} embeddings")
    if {item.get("index") for item in items} == set(range(len(items))):
        items = sorted(items, key=lambda item: item["index"])
    vectors = [_vector(item.get("embedding")) for item in items]
    lengths = {len(vector) for vector in vectors}
    if len(lengths) > 1:
        raise InvalidResponse(f"the embeddings differ in length: {sorted(lengths)}")
    if dimensions is not None and lengths != {dimensions}:
        raise InvalidRequest(
            f"the model gives vectors of {lengths.pop()} dimensions, not of {dimensions}"
        )
    return vectors


def _vector(raw: object) -> tuple[float, ...]:
    try:
        if isinstance(raw, str):
            return _decoded(raw)
        if isinstance(raw, list) and raw:
            return tuple([float(number) for number in raw])
    except (OverflowError, TypeError, ValueError) as error:
        raise InvalidResponse(f"an embedding is no vector: {error}") from error
    raise InvalidResponse("an embedding is no vector")


def _decoded(text: str) -> tuple[float, ...]:
    """Base64 of 32-bit floats, little-endian, as `encoding_format: base64` gives them."""
    numbers = array("f", base64.b64decode(text, validate=True))
    if sys.byteorder == "big":
        numbers.byteswap()
    return tuple(numbers)
