"""What can go wrong between a client and a server, each as a reply."""

from __future__ import annotations

import math
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic_core import to_json

from dovetail.testing.upstream.openai import openai_error
from dovetail.testing.upstream.reply import (
    Close,
    Pause,
    Repeat,
    Reset,
    ScriptedReply,
    Step,
    event_stream,
    raw,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

FOREVER = Pause(math.inf)


def refused_url() -> str:
    """A URL of this machine where nothing listens."""
    return "http://127.0.0.1:1"  # tcpmux, which nobody has run for decades; no free port is safe


def reset_at_accept() -> ScriptedReply:
    """The connection is reset as soon as it is made."""
    return ScriptedReply((Reset(),), None, at_accept=True)


def reset_before_headers() -> ScriptedReply:
    """The request is read, then the connection is reset."""
    return raw(Reset())


def close_before_headers() -> ScriptedReply:
    """The request is read, then the connection is closed without an answer."""
    return raw(Close())


def stall_before_headers() -> ScriptedReply:
    """The request is read, and nothing ever comes."""
    return raw(FOREVER)


def stall_before_body(reply: ScriptedReply) -> ScriptedReply:
    """The head comes, and of the body nothing."""
    return replace(_streamed(reply), steps=(FOREVER,))


def stall_after(reply: ScriptedReply, steps: int = 1) -> ScriptedReply:
    """So many steps of the body come, and then nothing more."""
    return replace(_streamed(reply), steps=(*reply.steps[:steps], FOREVER))


def comments_only(
    reply: ScriptedReply, steps: int = 0, *, every: float = 0.02, comment: bytes = b": wait\n\n"
) -> ScriptedReply:
    """So many steps of the body come, and then only comments that keep the connection alive.

    `every`: seconds between two of them. In NDJSON a blank line is the nearest thing.
    """
    again = Repeat((comment, Pause(every)))
    return replace(_streamed(reply), steps=(*reply.steps[:steps], again))


def cut_in_line(reply: ScriptedReply, steps: int = 1, *, clean: bool = True) -> ScriptedReply:
    """So many steps come, then half of the next, and that is the end.

    `clean`: the end is told as if the body were complete; otherwise the connection just closes.
    """
    half = reply.steps[steps]
    if not isinstance(half, bytes):
        message = f"step {steps} is no bytes that can be cut"
        raise TypeError(message)
    return _cut(reply, (*reply.steps[:steps], half[: len(half) // 2]), clean=clean)


def cut_between(reply: ScriptedReply, steps: int = 1, *, clean: bool = True) -> ScriptedReply:
    """So many steps come, and that is the end; `clean` as for `cut_in_line`."""
    return _cut(reply, reply.steps[:steps], clean=clean)


def with_type(reply: ScriptedReply, content_type: str) -> ScriptedReply:
    """The same under another content type."""
    return replace(reply, headers={**reply.headers, "content-type": content_type})


def html_page(status: int = 502, text: str = "Bad Gateway") -> ScriptedReply:
    """A page for people, as proxies give it."""
    page = (
        f"<!DOCTYPE html><html><head><title>{status} {text}</title><style>h1 {{color: red}}</style>"
        f"</head><body><center><h1>{status} {text}</h1></center><hr>nginx</body></html>"
    )
    return ScriptedReply((page.encode(),), status, {"content-type": "text/html"})


def retry_later(
    status: int = 429,
    seconds: float | None = None,
    form: Literal["seconds", "milliseconds", "date"] = "seconds",
) -> ScriptedReply:
    """Come again: in so many seconds, told in one of three forms, or (None) without saying when."""
    headers: dict[str, str] = {}
    if seconds is not None and form == "date":
        when = datetime.now(UTC) + timedelta(seconds=seconds)
        headers["retry-after"] = format_datetime(when, usegmt=True)
    elif seconds is not None and form == "milliseconds":
        headers["retry-after-ms"] = f"{seconds * 1000:g}"
    elif seconds is not None:
        headers["retry-after"] = f"{seconds:g}"
    return openai_error(status, "please come again later", type="requests", headers=headers)


def garbage(status: int = 200, content_type: str = "text/event-stream") -> ScriptedReply:
    """Bytes that mean nothing, with line ends among them, under a head that promises a stream."""
    noise = bytes(range(256)) + b"\ndata: \xff\xfe{\n\n{]\r\n\r\n\x00\x80\n"
    return ScriptedReply((noise, noise[::-1]), status, {"content-type": content_type}, "chunked")


def endless_line() -> ScriptedReply:
    """A line of an event stream that never ends."""
    return event_stream(b'data: {"choices":[{"delta":{"content":"', Repeat((b"x" * 2**20,)))


def error_inside(
    reply: ScriptedReply, steps: int = 1, error: Mapping[str, Any] | str = "the model has crashed"
) -> ScriptedReply:
    """So many steps come, then an `error` object, and that is the end; the status is the reply's.

    It is a line of NDJSON or an event, as the content type is. A text becomes `{"message": …}` in
    events, and stays one in NDJSON, where that is Ollama's form.
    """
    if "ndjson" in reply.type:
        last = to_json({"error": error}) + b"\n"
    else:
        words = {"message": error} if isinstance(error, str) else error
        last = b"data: %b\n\n" % to_json({"error": words})
    return replace(reply, steps=(*reply.steps[:steps], last))


def length_mismatch(reply: ScriptedReply, by: int = 10) -> ScriptedReply:
    """The head promises `by` more bytes than come before the close (fewer, if negative)."""
    size = sum(len(step) for step in reply.steps if isinstance(step, bytes))
    headers = {**reply.headers, "content-length": str(size + by)}
    return replace(reply, headers=headers, framing="none", steps=(*reply.steps, Close()))


def split_bytes(reply: ScriptedReply) -> ScriptedReply:
    """The same, each byte sent by itself, those of the head too."""
    return replace(reply, piece=1)


def drip(reply: ScriptedReply, size: int = 16, every: float = 0.005) -> ScriptedReply:
    """The same, `size` bytes at a time with `every` seconds between."""
    return replace(reply, piece=size, pause=every)


def dies_when_reused(reply: ScriptedReply) -> ScriptedReply:
    """The same; when another request comes on its connection, that is closed without an answer."""
    return replace(reply, then_dies=True)


def gzipped(reply: ScriptedReply) -> ScriptedReply:
    """The same in gzip, each step readable when it comes."""
    packer = zlib.compressobj(wbits=31)
    steps: list[Step] = []
    for step in reply.steps:
        if isinstance(step, bytes):
            steps.append(packer.compress(step) + packer.flush(zlib.Z_SYNC_FLUSH))
        else:
            steps.append(step)
    headers = {**reply.headers, "content-encoding": "gzip"}
    return replace(reply, steps=(*steps, packer.flush()), headers=headers)


def _streamed(reply: ScriptedReply) -> ScriptedReply:
    """Its length is not told, since the body never ends."""
    return replace(reply, framing="chunked")


def _cut(reply: ScriptedReply, steps: tuple[Step, ...], *, clean: bool) -> ScriptedReply:
    """A body whose length is told cannot end early without the connection closing."""
    if clean and reply.framing == "chunked":
        return replace(reply, steps=steps)
    if reply.framing == "length":
        whole = sum(len(step) for step in reply.steps if isinstance(step, bytes))
        headers = {**reply.headers, "content-length": str(whole)}
        return replace(reply, steps=(*steps, Close()), headers=headers, framing="none")
    return replace(reply, steps=(*steps, Close()))
