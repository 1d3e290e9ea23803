"""A model to test with: it says what it is told to, and notes what it was asked.

The module is a plugin itself: `Kernel.register("fake", dovetail.testing.fake)`.
"""

import asyncio
import hashlib
import math
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from pydantic import Field

from dovetail.chat.chunks import StreamingChunk
from dovetail.chat.providers import ChatProvider, EmbeddingProvider
from dovetail.chat.requests import ChatRequest, EmbeddingRequest
from dovetail.chat.responses import EmbeddingResponse, FinishReason, ModelInfo, Usage
from dovetail.component import Settings
from dovetail.config.durations import Duration
from dovetail.context import ExecutionContext
from dovetail.errors import ModelNotFound
from dovetail.hookspecs import hookimpl
from dovetail.testing.plugins import plugin_of
from dovetail.testing.script import chunks_of_reply, words

if TYPE_CHECKING:
    from dovetail.testing.script import Reply

REMEMBERED = 1000
"""How many calls a fake model remembers."""
DIMENSIONS = 16


class FakeSettings(Settings):
    """What the config can tell a fake model."""

    answers: tuple[str, ...] = Field(
        default=(), description="What it says, one after the other; then it repeats what it hears."
    )
    pause: Duration = Field(default=0.0, ge=0, description="How long it waits before each chunk.")
    window: int | None = Field(default=None, ge=1, description="Its context window in tokens.")
    known: tuple[str, ...] = Field(
        default=(), description="The models it has; without any it answers to every name."
    )


@dataclass(slots=True, eq=False)
class FakeCall:
    """One call that a fake model got."""

    request: ChatRequest
    context: ExecutionContext
    chunks: int = 0
    """How many it has handed out."""
    finished: bool = False
    """It said everything."""
    closed: bool = False
    """Its generator has ended, in whatever way."""


class FakeModel(ChatProvider, EmbeddingProvider):
    """Says each of `replies` once, in order, and then repeats the last message it is sent.

    What a reply may be is said at `chunks_of_reply`: a text, a list of chunks, tool calls, an
    exception, pauses, a `Gate`. A token is a word. Its vectors depend on nothing but the text.
    """

    name = "fake"
    settings: FakeSettings

    def __init__(self, *replies: "Reply") -> None:
        self.settings = FakeSettings()
        self.replies: deque[Reply] = deque(replies)
        self.calls: deque[FakeCall] = deque(maxlen=REMEMBERED)
        """The latest calls, oldest first."""
        self.embed_requests: deque[EmbeddingRequest] = deque(maxlen=REMEMBERED)

    @property
    def requests(self) -> list[ChatRequest]:
        """What it was asked, oldest first."""
        return [call.request for call in self.calls]

    def will_say(self, *replies: "Reply") -> None:
        """Add to what it says next."""
        self.replies.extend(replies)

    async def start(self) -> None:
        """Take over the answers that the config gives."""
        self.replies.extend(self.settings.answers)

    async def models(self) -> Sequence[ModelInfo]:
        """Those in its settings, or one that is called `fake`."""
        known = self.settings.known or ("fake",)
        return [ModelInfo(id=name, context_window=self.settings.window) for name in known]

    async def count_tokens(self, request: ChatRequest) -> int:
        """One for each word, and one for each message."""
        return sum(1 + len(message.text.split()) for message in request.messages)

    async def context_window(self, model: str) -> int | None:
        """As its settings say."""
        return self.settings.window

    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncIterator[StreamingChunk]:
        """The chunks of its next reply, then one with finish reason and usage."""
        call = FakeCall(request, context)
        self.calls.append(call)
        try:
            self._check(request.model)
            reply = self.replies.popleft() if self.replies else _echo(request)
            accounts = _Accounts()
            async for chunk in chunks_of_reply(reply, request):
                if self.settings.pause:
                    await asyncio.sleep(self.settings.pause)
                if accounts.full(request.max_tokens):
                    break
                accounts.add(chunk)
                call.chunks += 1
                yield chunk
            if not accounts.ended:
                call.chunks += 1
                yield accounts.last(await self.count_tokens(request), request.max_tokens)
            call.finished = True
        finally:
            call.closed = True

    async def embed(
        self, request: EmbeddingRequest, context: ExecutionContext
    ) -> EmbeddingResponse:
        """A unit vector for each text, made of its hash; 16 dimensions unless it asks for fewer."""
        self._check(request.model)
        self.embed_requests.append(request)
        dimensions = request.dimensions or DIMENSIONS
        counted = sum(len(text.split()) for text in request.input)
        return EmbeddingResponse(
            embeddings=tuple(_vector(text, dimensions) for text in request.input),
            model=request.model or "fake",
            usage=Usage(prompt_tokens=counted, total_tokens=counted),
        )

    def _check(self, model: str) -> None:
        if model and self.settings.known and model not in self.settings.known:
            raise ModelNotFound(f"it has no model `{model}`", model=model)


class _Accounts:
    """What has been said of one answer."""

    def __init__(self) -> None:
        self.tokens = 0
        self.ended = False
        self.cut = False
        self.calls = False

    def full(self, limit: int | None) -> bool:
        self.cut = limit is not None and self.tokens >= limit
        return self.cut

    def add(self, chunk: StreamingChunk) -> None:
        self.tokens += len(words(chunk.text)) + len(words(chunk.reasoning))
        self.calls = self.calls or bool(chunk.tool_calls)
        self.ended = self.ended or chunk.finish_reason is not None

    def last(self, prompt: int, limit: int | None) -> StreamingChunk:
        reason = FinishReason.TOOL_CALLS if self.calls else FinishReason.STOP
        if self.cut:
            reason = FinishReason.LENGTH
        total = prompt + self.tokens
        usage = Usage(prompt_tokens=prompt, completion_tokens=self.tokens, total_tokens=total)
        return StreamingChunk(finish_reason=reason, usage=usage, model="fake")


def fake_plugin(model: FakeModel | type[FakeModel] | None = None) -> ModuleType:
    """A plugin for `Kernel.register("fake", …)`.

    With a `FakeModel` every table that uses the plugin is that very one, so that a test can look
    into it; with a class, or nothing, each table gets one of its own.
    """
    if not isinstance(model, FakeModel):
        return plugin_of(model or FakeModel)
    held = type("Held", (type(model),), {"name": "fake", "__new__": lambda _: model})
    return plugin_of(held)


@hookimpl
def providers() -> list[type[FakeModel]]:
    """The fake model."""
    return [FakeModel]


def _echo(request: ChatRequest) -> str:
    said = [message.text for message in request.messages if message.text]
    return said[-1] if said else "(nothing)"


def _vector(text: str, dimensions: int) -> tuple[float, ...]:
    raw = hashlib.shake_256(text.encode()).digest(2 * dimensions)
    numbers = [int.from_bytes(raw[i : i + 2]) / 32768 - 1 for i in range(0, len(raw), 2)]
    length = math.sqrt(sum(n * n for n in numbers)) or 1.0
    return tuple(n / length for n in numbers)
