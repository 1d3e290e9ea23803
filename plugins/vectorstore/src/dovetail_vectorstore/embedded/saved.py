"""Inverted lists in a file beside the database, which can be made anew if it is damaged."""

from __future__ import annotations

import json
import os
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dovetail_vectorstore.embedded.lists import Lists

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = b"dovetail lists 1\n"
ALIGNED = 64
_ARRAYS: dict[str, np.dtype[Any]] = {
    "numbers": np.dtype("<i8"),
    "owners": np.dtype("<i4"),
    "vectors": np.dtype("<f4"),
    "offsets": np.dtype("<i8"),
    "centres": np.dtype("<f4"),
}


class BadIndexError(Exception):
    """The file cannot be used; the message says why."""


def save(lists: Lists, path: Path, belongs: str) -> None:
    """Write `lists`, whole or not at all; `belongs` says to which vectors of which store.

    Raises:
        OSError: it cannot be written, such as for want of room.
    """
    arrays = {
        name: np.ascontiguousarray(getattr(lists, name), kind) for name, kind in _ARRAYS.items()
    }
    head = {
        "belongs": belongs,
        "probes": lists.probes,
        "shapes": {name: array.shape for name, array in arrays.items()},
        "checks": {name: zlib.crc32(array.data) for name, array in arrays.items()},
    }
    text = json.dumps(head).encode()
    new = path.with_suffix(".new")
    try:
        with new.open("wb") as file:
            new.chmod(0o600)
            file.write(MAGIC + len(text).to_bytes(8, "little") + text)
            for array in arrays.values():
                file.write(b"\0" * (-file.tell() % ALIGNED))
                file.write(array.data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def load(path: Path, belongs: str) -> Lists | None:
    """The lists in a file, read as they are needed; None if there is none, or one of other vectors.

    Raises:
        BadIndexError: it is damaged.
    """
    if not path.exists():
        return None
    try:
        head, places = _head(path)
        if head["belongs"] != belongs:
            return None
        found: dict[str, Any] = {}
        for name, kind in _ARRAYS.items():
            shape = tuple(head["shapes"][name])
            size = int(np.prod(shape))
            array: npt.NDArray[Any] = np.empty(shape, kind)
            if size:
                array = np.memmap(path, kind, "r", places[name], shape)
            if zlib.crc32(array.data) != head["checks"][name]:
                raise BadIndexError(f"its {name} are not what was written")
            # A plain view: slices of a memmap are slow to make.
            found[name] = array.view(np.ndarray)
        return _checked(Lists(**found, probes=int(head["probes"])))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadIndexError(f"it cannot be read: {error}") from error


def _head(path: Path) -> tuple[Any, dict[str, int]]:
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise BadIndexError("it does not begin as an index does")
        length = int.from_bytes(file.read(8), "little")
        if length > 1 << 20:
            raise BadIndexError("its head is too long")
        head = json.loads(file.read(length))
        place = file.tell()
    places = {}
    for name, kind in _ARRAYS.items():
        place += -place % ALIGNED
        places[name] = place
        place += int(np.prod(head["shapes"][name])) * kind.itemsize
    if place > path.stat().st_size:
        raise BadIndexError("its end is missing")
    return head, places


def _checked(lists: Lists) -> Lists:
    count = len(lists.numbers)
    fits = (
        lists.vectors.shape == (count, lists.centres.shape[1])
        and len(lists.owners) == count
        and len(lists.offsets) == len(lists.centres) + 1
        and int(lists.offsets[-1]) == count
    )
    if not fits:
        raise BadIndexError("its parts do not fit each other")
    return lists
