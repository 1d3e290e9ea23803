"""What a scripted server sends: a status, headers, and steps that it takes one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic_core import to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dovetail.testing.script import Gate


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is sent for this long; `math.inf` is for ever, until the client leaves."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is sent until the test opens the gate."""

    gate: Gate


@dataclass(frozen=True, slots=True)
class Repeat:
    """These steps again and again, until the client leaves."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset (RST): what the client was still to read may be lost."""


@dataclass(frozen=True, slots=True)
class Close:
    """The connection is closed in order (FIN), wherever the answer stands."""


Step: TypeAlias = "bytes | Pause | Wait | Repeat | Reset | Close"


@dataclass(frozen=True, slots=True)
class ScriptedReply:
    """One answer. Change one with `dataclasses.replace`."""

    steps: tuple[Step, ...] = ()
    """Of the body. Each piece of bytes is sent by itself, and is a chunk if it is `chunked`."""
    status: int | None = 200
    """None: there is no head, the steps are every byte of the wire."""
    headers: Mapping[str, str] = field(default_factory=dict)
    framing: Literal["chunked", "length", "none"] = "length"
    """How the body's end is told; with `none` the headers say it themselves, or the close does."""
    before: tuple[Step, ...] = ()
    """Taken before the head is sent."""
    piece: int = 0
    """Send at most so many bytes at once, head included; 0: each step whole."""
    pause: float = 0.0
    """Seconds between two pieces."""
    at_accept: bool = False
    """Taken as soon as a connection is made, before a request is read."""
    then_dies: bool = False
    """The connection stays open after it, and is closed when another request comes on it."""

    @property
    def type(self) -> str:
        """Its content type."""
        return self.headers.get("content-type", "")

    def wire(self) -> Iterator[Step]:
        """All that is sent, in order."""
        for step in self._whole():
            if not self.piece or not isinstance(step, bytes):
                yield step
                continue
            for start in range(0, len(step), self.piece):
                yield step[start : start + self.piece]
                if self.pause:
                    yield Pause(self.pause)

    def _whole(self) -> Iterator[Step]:
        yield from self.before
        if self.status is not None:
            yield self._head(self.status)
        yield from self._framed(self.steps)
        if self.framing == "chunked":
            yield b"0\r\n\r\n"

    def _head(self, status: int) -> bytes:
        headers = dict(self.headers)
        if self.framing == "chunked":
            headers["transfer-encoding"] = "chunked"
        elif self.framing == "length":
            headers["content-length"] = str(sum(len(s) for s in self.steps if isinstance(s, bytes)))
        try:
            reason = HTTPStatus(status).phrase
        except ValueError:
            reason = "Unknown"
        lines = [f"HTTP/1.1 {status} {reason}", *(f"{k}: {v}" for k, v in headers.items())]
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")

    def _framed(self, steps: Iterable[Step]) -> Iterator[Step]:
        for step in steps:
            if isinstance(step, Repeat):
                while True:
                    yield from self._framed(step.steps)
            elif isinstance(step, bytes) and self.framing == "chunked":
                if step:  # an empty chunk would be the end
                    yield b"%x\r\n%b\r\n" % (len(step), step)
            else:
                yield step


def json_reply(
    status: int, value: object, headers: Mapping[str, str] | None = None
) -> ScriptedReply:
    """An answer of one JSON value."""
    kept = {"content-type": "application/json", **(headers or {})}
    return ScriptedReply((to_json(value),), status, kept)


def event_stream(*steps: Step, headers: Mapping[str, str] | None = None) -> ScriptedReply:
    """Steps of your own under the head of an event stream."""
    kept = {"content-type": "text/event-stream", **(headers or {})}
    return ScriptedReply(steps, 200, kept, "chunked")


def raw(*steps: Step) -> ScriptedReply:
    """Every byte of the wire, head and all; then the connection is closed."""
    return ScriptedReply((*steps, Close()), None, {}, "none")
