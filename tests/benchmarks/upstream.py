"""A fast upstream that speaks like OpenAI, in a process of its own; what it says is made before.

The model's name says how an answer is streamed: `fast` in one write; `every-100-8-2000` a chunk
every 100 ms, 8 of them, the first after 2,000 ms, different answers at different moments; `beat-…`
the same at the same moment; `hold` some chunks and then silence until the reader goes. The text of
a timed chunk is the moment it is written, by a clock that all processes of the machine share.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHUNKS = 1000
"""Chunks of text in a fast answer."""
HELD = 10
"""Chunks of text before the silence."""
TEXT = "Hello there, how can I help you today?"
SPREAD = 0.6180339887
"""Multiples of the golden ratio, taken modulo 1, lie evenly whatever their number."""
SAME = {"id": "chatcmpl-123456789", "created": 1700000000, "model": "gpt-4o-mini"}
USAGE = {
    "prompt_tokens": 19,
    "completion_tokens": 10,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    chunk = {
        **SAME,
        "object": "chat.completion.chunk",
        "system_fingerprint": "fp",
        "choices": [choice],
    }
    return b"data: %b\n\n" % json.dumps(chunk, separators=(",", ":")).encode()


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _whole(value: dict[str, Any]) -> bytes:
    body = json.dumps(value).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


MESSAGE: dict[str, Any] = {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []}
CHOICE = {"index": 0, "message": MESSAGE, "logprobs": None, "finish_reason": "stop"}
ANSWER = _whole({**SAME, "object": "chat.completion", "choices": [CHOICE], "usage": USAGE})
BEGIN = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
BEGIN += _framed(_event({"role": "assistant", "content": ""}))
END = _framed(_event({}, "stop")) + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"
FAST = BEGIN + b"".join(_framed(_event({"content": f" tok{n}"})) for n in range(CHUNKS)) + END
TIMED = _event({"content": "%.6f"}).replace(b"%.6f", b"%017.6f")


class Exchange(asyncio.Protocol):
    """One connection."""

    closed: dict[str, float] = {}
    """When the connection of a held answer was closed, by what the user said."""
    answers = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Someone is there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""
        self._held = ""

    def connection_lost(self, exc: Exception | None) -> None:
        """Note when, if it held an answer."""
        if self._held:
            self.closed[self._held] = time.monotonic()

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            _, found, rest = head.partition(b"content-length:")
            size = end + 4 + (int(rest.split(b"\r\n")[0]) if found else 0)
            if len(self._received) < size:
                return
            body, self._received = self._received[end + 4 : size], self._received[size:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"get "):
            self._transport.write(_whole(self.closed))
        elif b'"stream":true' not in body and b'"stream": true' not in body:
            self._transport.write(ANSWER)
        else:
            asked = json.loads(body)
            kind, *numbers = asked["model"].split("-")
            if kind == "fast":
                self._transport.write(FAST)
            elif kind == "hold":
                self._held = asked["messages"][-1]["content"]
                self._transport.write(BEGIN)
                for _ in range(HELD):
                    self._write_timed()
            else:
                interval, chunks, lead = (int(number) for number in numbers)
                self._begin_timed(kind, interval / 1000, chunks, lead / 1000)

    def _begin_timed(self, kind: str, interval: float, chunks: int, lead: float) -> None:
        loop = asyncio.get_running_loop()
        self._transport.write(BEGIN)
        Exchange.answers += 1
        phase = Exchange.answers * SPREAD % 1 if kind == "every" else 0.0
        first = ((loop.time() + lead) // interval + 1 + phase) * interval

        def tick(number: int) -> None:
            if self._transport.is_closing():
                return
            if number == chunks:
                self._transport.write(END)
                return
            self._write_timed()
            loop.call_at(first + (number + 1) * interval, tick, number + 1)

        loop.call_at(first, tick, 0)

    def _write_timed(self) -> None:
        self._transport.write(_framed(TIMED % time.monotonic()))


@asynccontextmanager
async def upstream() -> AsyncIterator[str]:
    """Run it; gives the base URL. From then on this process goes through no proxy.

    Some peers would send even this machine's requests to one.
    """
    os.environ["no_proxy"] = "*"  # the one that wins over NO_PROXY
    script = "from tests.benchmarks.upstream import main; main()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}/v1"
    finally:
        process.terminate()
        await process.wait()


def main() -> None:
    """Serve until terminated; the port is told on stdout."""
    asyncio.run(_serve())


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Exchange, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
