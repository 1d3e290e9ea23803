"""Streams as servers send them, for the tests of the parser."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from dovetail import ChatResponse, StreamingAccumulator, StreamingChunk
from dovetail_openai.response_parser import StreamParser

DONE = b"data: [DONE]\n\n"


def event(value: object) -> bytes:
    """An event with this JSON."""
    return b"data: %b\n\n" % to_json(value)


def delta(
    said: dict[str, Any], finish: str | None = None, index: int | None = 0, **more: Any
) -> bytes:
    """A chunk with one choice."""
    choice: dict[str, Any] = {"delta": said, "finish_reason": finish}
    if index is not None:
        choice["index"] = index
    base = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return event({**base, "choices": [choice], **more})


def call(id_: str | None = None, index: int | None = None, **function: str) -> dict[str, Any]:
    """A piece of a tool call."""
    made: dict[str, Any] = {"type": "function", "function": function}
    if id_ is not None:
        made["id"] = id_
    if index is not None:
        made["index"] = index
    return made


def read(*pieces: bytes, answers: int = 1) -> list[StreamingChunk]:
    """The chunks of a stream that came in these pieces."""
    parser = StreamParser(answers)
    chunks = [chunk for piece in pieces for chunk in parser.feed(piece)]
    parser.end()
    return chunks


def whole(*pieces: bytes) -> ChatResponse:
    """What they make together."""
    accumulator = StreamingAccumulator()
    for chunk in read(*pieces):
        accumulator.add(chunk)
    return accumulator.response()


STOP = delta({}, "stop")
