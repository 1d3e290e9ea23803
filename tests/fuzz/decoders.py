"""Fuzz the decoders: `make fuzz`, or with this file's environment `python tests/fuzz/decoders.py`.

Whatever the bytes are, they give the same events and values whole, cut in two at any place, and
byte by byte; nothing but `InvalidResponse` is raised. Options are libFuzzer's, such as `-runs=1000`
or a file that failed. A million cases, each with every cut, take a quarter of an hour.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import atheris

from dovetail import InvalidResponse, NdjsonDecoder, SseDecoder

for name in [name for name in sys.modules if name.startswith("dovetail.http")]:
    del sys.modules[name]
# Watched code is half as fast: cuts are tried on the copy above, what is new is seen by this one.
with atheris.instrument_imports(include=["dovetail.http"]):
    from dovetail.http.ndjson import NdjsonDecoder as WatchedNdjsonDecoder
    from dovetail.http.sse import SseDecoder as WatchedSseDecoder

LONGEST = 40
"""A bound so low that lines and events pass it now and then."""
DEFAULTS = ("-runs=1000000", "-max_len=64", "-timeout=10", "-rss_limit_mb=1024")
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
    b'data: {"a":1}\n\ndata: [DONE]\n\n',
    b"\xef\xbb\xbfevent: x\r\nid: 1\r\ndata: a\r\ndata: b\r\n\r\n",
    b": wait\n\nretry: 99\rdata\r\r",
    b'{"message":{"content":"a"},"done":false}\n{"done":true}',
    b'"' + b"x" * 50 + b'"\n1\n',
)


def sse(pieces: list[bytes], made: type[SseDecoder] = SseDecoder) -> list[Any]:
    """Its events, and what it failed with, if it did."""
    decoder, found = made(LONGEST), list[Any]()
    try:
        for piece in pieces:
            found += decoder.feed(piece)
        found += decoder.feed(b"")
    except InvalidResponse as error:
        found.append(str(error))
    return found


def ndjson(pieces: list[bytes], made: type[NdjsonDecoder] = NdjsonDecoder) -> list[Any]:
    """The same of its values."""
    decoder, found = made(LONGEST), list[Any]()
    try:
        for piece in pieces:
            found += decoder.feed(piece)
        found += decoder.end()
    except InvalidResponse as error:
        found.append(str(error))
    return found


def one_case(data: bytes) -> None:
    """Compare the whole with every cut in two, and with single bytes."""
    bytewise = [data[i : i + 1] for i in range(len(data))]
    splits = [bytewise, *([data[:place], data[place:]] for place in range(len(data) + 1))]
    for pieces in (bytewise, [data]):
        sse(pieces, WatchedSseDecoder)
        ndjson(pieces, WatchedNdjsonDecoder)
    for decode in (sse, ndjson):
        expected = decode([data])
        for pieces in splits:
            found = decode(pieces)
            # As text in the end, since NaN is not equal to itself.
            if found != expected and repr(found) != repr(expected):
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
