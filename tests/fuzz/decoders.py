"""Fuzz the decoders: `make fuzz`, or with this file's environment `python tests/fuzz/decoders.py`.

Whatever the bytes are, every split of them gives the same events and values, and nothing but
`InvalidResponse` is raised. Options are libFuzzer's, such as `-runs=1000` or a file that failed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import atheris

with atheris.instrument_imports(include=["dovetail.http"]):
    from dovetail import InvalidResponse, NdjsonDecoder, SseDecoder

if TYPE_CHECKING:
    from collections.abc import Callable

    Outcome = tuple[list[str], bool]

LONGEST = 40
"""A bound so low that lines and events pass it now and then."""
DEFAULTS = ("-runs=1000000", "-max_len=128", "-timeout=10", "-rss_limit_mb=1024")
TOKENS = (
    *(
        "data:",
        "data: ",
        "event:",
        "id:",
        "retry:",
        ":",
        r"\x0a",
        r"\x0d",
        r"\x0d\x0a",
        r"\x0a\x0a",
    ),
    *(r"\xef\xbb\xbf", r"\xe2\x80\xa8", "[DONE]", '{\\"a\\":', "null", "[[", "}", r"\\ud800"),
)
SEEDS = (
    b'\x05data: {"a":1}\n\ndata: [DONE]\n\n',
    b"\x00\xef\xbb\xbfevent: x\r\nid: 1\r\ndata: a\r\ndata: b\r\n\r\n",
    b"\x02: wait\n\nretry: 99\rdata\r\r",
    b'\x07{"message":{"content":"a"},"done":false}\n{"done":true}',
    b'\x01"' + b"x" * 50 + b'"\n1\n',
)


def sse(pieces: list[bytes]) -> Outcome:
    """Its events, and whether it failed."""
    return _outcome(SseDecoder(LONGEST).feed, [*pieces, b""], list)


def ndjson(pieces: list[bytes]) -> Outcome:
    """Its values, and whether it failed."""
    decoder = NdjsonDecoder(LONGEST)
    return _outcome(decoder.feed, pieces, decoder.end)


def _outcome(
    feed: Callable[[bytes], list[Any]], pieces: list[bytes], end: Callable[[], list[Any]]
) -> Outcome:
    found: list[Any] = []
    try:
        for piece in pieces:
            found += feed(piece)
        found += end()
    except InvalidResponse:
        return [repr(item) for item in found], True
    return [repr(item) for item in found], False  # as text, since NaN is not equal to itself


def one_case(data: bytes) -> None:
    """The first byte says how long the pieces are that the rest is cut into."""
    size, data = max(data[:1], default=0) % 24 + 1, data[1:]
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    for decode in (sse, ndjson):
        expected, found = decode([data]), decode(pieces)
        if found != expected:
            message = f"{decode.__name__} of {pieces} is {found}, not {expected}"
            raise AssertionError(message)


def main() -> None:
    """Fuzz until the runs are done; a failing case is written to a file and told."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for number, seed in enumerate(SEEDS):
            Path(corpus, str(number)).write_bytes(seed)
        words = Path(folder, "words")
        words.write_text("".join(f'"{token}"\n' for token in TOKENS))
        options = sys.argv[1:] or [*DEFAULTS, f"-dict={words}", str(corpus)]
        atheris.Setup([sys.argv[0], *options], one_case)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
