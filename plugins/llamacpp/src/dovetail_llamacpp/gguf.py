"""The header of a GGUF file: what it says of the model, and whether the file is whole.

Source: the GGUF specification in ggml's `docs/gguf.md`. llama.cpp checks the same things but says
only that it failed; here it is known what is missing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = 1 << 20
_SCALARS = dict(zip((*range(8), 10, 11, 12), "BbHhIif?Qqd", strict=True))
_STRING, _ARRAY = 8, 9
_MOST_DIMENSIONS = 8
_VERSIONS = (2, 3)

# (weights, bytes) in a block of each tensor type, as in ggml's type table. A type that is not
# listed is taken to need no room, so a newer file is never called short by mistake.
_TYPES = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip


class BadFile(Exception):
    """The file is not a whole GGUF file; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says of its model."""

    architecture: str
    """Such as `llama`."""
    title: str
    """The model's name in its maker's words; may be empty."""
    context_length: int | None
    """Tokens the model was trained on at once."""
    pooling: int | None
    """How an embedding model makes one vector of many; None in a chat model."""


def read_header(path: Path) -> Header:
    """Read the header of `path` and check that all tensors lie within the file.

    Raises:
        BadFile: it is no GGUF file, of an unknown version, cut short, or garbled.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        reader = _Reader(file, size)
        magic = reader.take(4)
        if magic != b"GGUF":
            raise BadFile(f"it is no GGUF file: it begins with {magic!r}, not with b'GGUF'")
        version = reader.number("I")
        if version not in _VERSIONS:
            raise BadFile(f"its GGUF version is {version}; known are 2 and 3 (little-endian)")
        tensors, pairs = reader.number("Q"), reader.number("Q")
        values = dict(reader.pair() for _ in range(pairs))
        needed = max((reader.tensor_end() for _ in range(tensors)), default=0)
        alignment = _integer(values.get("general.alignment")) or 32
        start = -(-reader.position // alignment) * alignment
    if start + needed > size:
        raise BadFile(_short(size, start + needed))
    architecture = str(values.get("general.architecture", ""))
    return Header(
        architecture=architecture,
        title=str(values.get("general.name", "")),
        context_length=_integer(values.get(f"{architecture}.context_length")),
        pooling=_integer(values.get(f"{architecture}.pooling_type")),
    )


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _short(size: int, needed: int) -> str:
    return (
        f"it is cut short: it has {size:,} bytes of at least {needed:,}; "
        "it was probably not downloaded to the end, so download it again"
    )


class _Reader:
    """Reads forward through a file, holding only as much as the next value needs."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self._data = b""
        self._at = 0
        self._before = 0

    @property
    def position(self) -> int:
        """How many bytes were read or skipped."""
        return self._before + self._at

    def take(self, count: int) -> bytes:
        self._need(count)
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, code: str) -> int:
        return int(struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0])

    def pair(self) -> tuple[str, object]:
        """A key and its value; arrays are skipped and give None."""
        key = self._text()
        kind = self.number("I")
        if kind == _ARRAY:
            self._skip_array()
            return key, None
        if kind == _STRING:
            return key, self._text()
        return key, self._scalar(kind)

    def tensor_end(self) -> int:
        """Where a tensor's data ends, counted from where all tensor data begins."""
        self._text()
        dimensions = self.number("I")
        if dimensions > _MOST_DIMENSIONS:
            raise BadFile(f"its table of tensors is garbled near byte {self.position:,}")
        weights = 1
        for _ in range(dimensions):
            weights *= self.number("Q")
        block, room = _TYPES.get(self.number("I"), (1, 0))
        return self.number("Q") + -(-weights // block) * room

    def _text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8", "replace")

    def _scalar(self, kind: int) -> object:
        code = self._code(kind)
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def _code(self, kind: int) -> str:
        code = _SCALARS.get(kind)
        if code is None:
            raise BadFile(f"its metadata is garbled near byte {self.position:,}")
        return code

    def _skip_array(self) -> None:
        kind, count = self.number("I"), self.number("Q")
        if kind == _ARRAY:
            raise BadFile(f"its metadata is garbled near byte {self.position:,}")
        if kind != _STRING:
            self._skip(count * struct.calcsize("<" + self._code(kind)))
            return
        length = struct.Struct("<Q").unpack_from
        for _ in range(count):  # a vocabulary: the one long loop, so it reads in place
            if len(self._data) - self._at < 8:
                self._need(8)
            step = 8 + length(self._data, self._at)[0]
            if step > len(self._data) - self._at:
                self._skip(step)
            else:
                self._at += step

    def _skip(self, count: int) -> None:
        if self.position + count > self._size:
            raise BadFile(_short(self._size, self.position + count))
        if count <= len(self._data) - self._at:
            self._at += count
            return
        self._before = self._file.seek(self.position + count)
        self._data, self._at = b"", 0

    def _need(self, count: int) -> None:
        missing = count - (len(self._data) - self._at)
        if missing <= 0:
            return
        if self.position + count > self._size:
            raise BadFile(_short(self._size, self.position + count))
        rest = self._data[self._at :]
        self._before += self._at
        self._data = rest + self._file.read(max(missing, _BLOCK))
        self._at = 0
        if len(self._data) < count:
            raise BadFile("it became shorter while it was read")
