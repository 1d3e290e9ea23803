"""What somebody gave, as it is kept: checked, cleaned of what is no text, with its id and hash."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dovetail_vectorstore.errors import ItemRefused
from dovetail_vectorstore.filters import RESERVED, SOURCE
from dovetail_vectorstore.items import Stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail_vectorstore.items import Item, Vector

LONGEST_TEXT = 1_000_000
"""Characters. What is longer is no passage that a model could be given; cut it into pieces."""
LONGEST_NAME = 2048
LARGEST_METADATA = 65_536
"""Characters as JSON."""
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """`text` with U+FFFD for NUL and for halves of surrogate pairs, which no database keeps."""
    return _NO_TEXT.sub("\ufffd", text)


def stored(item: Item, owner: str) -> Stored:
    """`item` as it is kept for `owner`.

    Raises:
        ItemRefused: it cannot be kept, and why.
    """
    for name, value in (("text", item.text), ("id", item.id), ("source", item.source)):
        _check_text(name, value)
    if not item.text.strip():
        raise ItemRefused("its text is blank" if item.text else "its text is empty")
    if len(item.text) > LONGEST_TEXT:
        raise ItemRefused(f"its text has {len(item.text)} characters, of {LONGEST_TEXT} at most")
    for name, value in (("id", item.id), ("source", item.source)):
        if len(value) > LONGEST_NAME:
            raise ItemRefused(f"its {name} has {len(value)} characters, of {LONGEST_NAME} at most")
    text, source = clean(item.text), clean(item.source)
    digest = hashlib.sha256(text.encode()).hexdigest()
    made = clean(item.id) or id_of(source, text)
    return Stored(made, text, source, _metadata(item.metadata), owner, digest)


def id_of(source: str, text: str) -> str:
    """The id of what was given none."""
    return hashlib.sha256(f"{len(source)}:{source}{text}".encode()).hexdigest()[:32]


def unit(vector: Sequence[float] | Vector) -> Vector:
    """`vector` as float32 of length 1; of nothing but zeros as it is.

    Raises:
        ItemRefused: it is no list of finite numbers.
    """
    import numpy as np

    try:
        made = np.asarray(vector, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ItemRefused(f"its vector is no list of numbers: {error}") from error
    if made.ndim != 1 or not made.size or not np.isfinite(made).all():
        raise ItemRefused("its vector is no list of finite numbers")
    largest = np.abs(made).max()
    if largest:
        made = made / largest  # so that no square is too large or too small
        made = made / np.linalg.norm(made)
    found: Vector = made.astype(np.float32)
    return found


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ItemRefused(f"its {name} is no text, but of type {type(value).__name__}")


def _metadata(metadata: object) -> dict[str, Any]:
    if not isinstance(metadata, Mapping):
        raise ItemRefused(f"its metadata is no mapping: {metadata!r:.80}")
    taken = sorted({*RESERVED, *SOURCE} & set(metadata))
    if taken:
        raise ItemRefused(
            f"its metadata has a key `{taken[0]}`, which is a word of the store's own"
        )
    try:
        text = json.dumps(dict(metadata), allow_nan=False)
        made: dict[str, Any] = json.loads(text)
        if "\\u0000" in text or "\\ud" in text:  # perhaps: a whole pair is written like that too
            made = _cleaned(made)
    except (TypeError, ValueError, RecursionError) as error:
        raise ItemRefused(f"its metadata is nothing that JSON has: {error}") from error
    if len(text) > LARGEST_METADATA:
        raise ItemRefused(
            f"its metadata has {len(text)} characters as JSON, of {LARGEST_METADATA} at most"
        )
    return made


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(key): _cleaned(inner) for key, inner in value.items()}
    return [_cleaned(inner) for inner in value] if isinstance(value, list) else value
