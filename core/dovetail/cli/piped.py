"""What comes in through a pipe."""

from __future__ import annotations

import os
import sys

from dovetail.cli.errors import WrongUse

MOST_BYTES = 32 << 20
"""More than this is no prompt."""


def piped_text() -> str:
    """All of stdin without its last line ends; empty if it is a terminal, closed or blank.

    Raises:
        WrongUse: it is not UTF-8, or too long.
    """
    if sys.stdin is None or sys.stdin.isatty():
        return ""
    data = sys.stdin.buffer.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise WrongUse(f"stdin is longer than {MOST_BYTES >> 20} MiB; send less at a time")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = data[error.start]
        raise WrongUse(
            f"stdin is not UTF-8: byte 0x{byte:02x} at offset {error.start}; convert it first, "
            "for instance with `iconv -t UTF-8 -f` and the encoding it is in"
        ) from error
    text = text.removeprefix("\ufeff").rstrip("\r\n")
    return text if text.strip() else ""


def check_text(text: str, what: str) -> str:
    """`text` as a person gave it: Python puts surrogates for bytes that it cannot decode.

    Raises:
        WrongUse: it is not UTF-8.
    """
    if text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text):
        return text
    try:
        return os.fsencode(text).decode("utf-8")
    except UnicodeError as error:
        offset = getattr(error, "start", 0)
        raise WrongUse(f"{what} is not UTF-8: a wrong byte at offset {offset}") from error
