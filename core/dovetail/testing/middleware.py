"""What a `Middleware` promises."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from dovetail.chat.chunks import StreamingChunk
from dovetail.chat.messages import ToolCall
from dovetail.chat.requests import EmbeddingRequest
from dovetail.chat.responses import FinishReason, Usage
from dovetail.chat.runs import SessionStatus
from dovetail.context import ExecutionContext
from dovetail.errors import ProviderError, RateLimited
from dovetail.middleware import ChatCall, Middleware
from dovetail.testing.component import ComponentContract
from dovetail.testing.fake import FakeModel, fake_plugin
from dovetail.testing.leaks import within
from dovetail.testing.plugins import plugin_of
from dovetail.testing.script import Gate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from dovetail.chat.answer import Answer, End
    from dovetail.chat.responses import ChatResponse
    from dovetail.kernel import Kernel
    from dovetail.testing.subject import Subject

_NUMBERS = itertools.count(1)
PURPOSE = (
    "; if changing answers is its purpose, set `changes_answers = True` in the contract's subclass"
)

RICH = (
    StreamingChunk(reasoning="Let me think. "),
    "One ",
    "two ",
    ToolCall(id="call_1", name="today", arguments='{"zone": "UTC"}'),
    StreamingChunk(
        text="three. ✓",
        finish_reason=FinishReason.TOOL_CALLS,
        usage=Usage(prompt_tokens=3, completion_tokens=5, total_tokens=8),
        model="fake-1",
        extras={"fingerprint": "f-1"},
    ),
)
"""An answer with something in every field."""


class Inner(Middleware):
    """Stands between the subject and the model, and notes how each answer ended."""

    name = "inner"

    def __init__(self) -> None:
        self.answers = 0
        self.ends: deque[End] = deque(maxlen=1000)

    async def chat(
        self, call: ChatCall, call_next: Callable[[ChatCall], Awaitable[Answer]]
    ) -> Answer:
        """Count the answer, and its end."""
        answer = await call_next(call)
        self.answers += 1
        answer.on_end(self.ends.append)
        return answer


class MiddlewareContract(ComponentContract):
    """Subclass it, and give a fixture `subject` that returns a `Subject`.

    The subject is put around a fake model, which the fixture `model` gives to your own tests too.
    """

    hook = "middleware"
    patience = 10.0  # the model is a fake one: nothing takes long
    changes_answers: ClassVar[bool] = False
    """Whether it says something else than the model did, as a translator does."""
    buffers: ClassVar[bool] = False
    """Whether it holds a stream back, as a filter that must see the whole answer does."""
    stops_within: ClassVar[float] = 1.0
    """Seconds in which a turn that nobody wants any more has stopped."""

    @pytest.fixture
    def model(self) -> FakeModel:
        """The fake model in the kernel."""
        return FakeModel()

    @pytest.fixture
    async def kernel(self, subject: Subject, model: FakeModel) -> AsyncIterator[Kernel]:
        """A kernel with the subject around a middleware that notes ends, around the model."""
        kernel = self._make(subject, model)
        async with self.in_time("the kernel did not start with it"):
            await kernel.start()
        try:
            yield kernel
        finally:
            async with self.in_time("the kernel did not close"):
                await kernel.close()

    def open(self, subject: Subject) -> Kernel:
        """A kernel with the subject around a fake model of its own."""
        return self._make(subject, FakeModel())

    def find(self, kernel: Kernel) -> Middleware:
        """The running middleware."""
        return next(m for m in kernel.generation.middleware if not isinstance(m, Inner))

    async def use(self, kernel: Kernel) -> None:
        """One chat and one embedding through it."""
        await kernel.chat(_greeting())
        await kernel.embed("Hello")

    async def test_a_whole_answer_passes_unharmed(self, kernel: Kernel, model: FakeModel) -> None:
        """`chat` gives what the model said: text, reasoning, tool calls, usage, finish reason.

        Mend: return the `Answer` that `call_next` gave; note things in `answer.metadata`. Set
        `changes_answers = True` in the contract if changing answers is its purpose.
        """
        model.will_say(RICH)
        self._compare(await self._chat(kernel))

    async def test_a_stream_passes_unharmed(self, kernel: Kernel, model: FakeModel) -> None:
        """`stream` gives what the model said, chunks and response.

        Mend: change chunks with `answer.each`, and return the chunk for what you leave alone.
        """
        model.will_say(RICH)
        response, text = await self._stream(kernel)
        self._compare(response)
        assert text == response.text, f"the chunks say {text!r}, the response {response.text!r}"

    async def test_both_ways_say_the_same(self, kernel: Kernel, model: FakeModel) -> None:
        """What it does to an answer, it does on `chat` and on `stream`.

        Mend: `answer.each` and `answer.on_end` work on both; do not read `answer.response` before
        its end.
        """
        model.will_say(RICH, RICH)
        whole = await self._chat(kernel)
        streamed, _ = await self._stream(kernel)
        assert streamed.message == whole.message, f"{streamed.message!r} != {whole.message!r}"
        assert streamed.finish_reason == whole.finish_reason
        assert streamed.usage == whole.usage, f"{streamed.usage} != {whole.usage}"

    async def test_a_stream_is_not_held_back(self, kernel: Kernel, model: FakeModel) -> None:
        """The first chunk passes before the model says the second.

        Mend: do not await `answer.read()`; use `each` and `on_end`. Set `buffers = True` in the
        contract if it must see the whole answer first.
        """
        gate = Gate()
        model.will_say(["first ", gate, "second"])
        async with kernel.stream(_greeting()) as stream:
            if not self.buffers:
                async with self.in_time("the first chunk did not pass"):
                    await anext(stream)
            gate.open()
            async with self.in_time("the stream did not end"):
                rest = [chunk async for chunk in stream]
        assert rest, "nothing came after the first chunk"

    async def test_an_error_passes(self, kernel: Kernel, model: FakeModel) -> None:
        """What the model raises before its first chunk comes out as itself, on both ways.

        Mend: `raise` again what you caught, or raise your own `from` it.
        """
        model.will_say(*[RateLimited("slow down", status=429) for _ in range(50)])
        for ask in (self._chat, self._stream):
            with pytest.raises(RateLimited) as caught:
                await ask(kernel)
            assert caught.value.details.status == 429, f"its details are lost: {caught.value!r}"

    async def test_an_error_in_the_middle_passes(self, kernel: Kernel, model: FakeModel) -> None:
        """What the model raises after its first chunk comes out, with what had come of the answer.

        Mend: leave it; after the first chunk nothing can be tried again.
        """
        for ask in (self._chat, self._stream):
            model.will_say(["One ", "two ", ProviderError("the line broke")])
            with pytest.raises(ProviderError, match="the line broke") as caught:
                await ask(kernel)
            partial = caught.value.response
            assert partial is not None and partial.finish_reason == FinishReason.ERROR
            if not self.changes_answers:
                assert partial.text == "One two ", f"what had come: {partial.text!r}"

    async def test_a_cancel_passes(self, kernel: Kernel, model: FakeModel) -> None:
        """A turn that is cancelled stops within `stops_within`, and the model's stream is closed.

        Mend: let `CancelledError` through, and start no task that keeps the answer.
        """
        for before in ("", "One "):
            gate = Gate()
            model.will_say([before, gate] if before else gate)
            async with kernel.stream(_greeting()) as stream:
                await gate.reached(self.patience)
                stream.run.cancel()
                async with within(self.stops_within, "a cancelled turn did not stop"):
                    await stream.run.wait()
                assert stream.run.status is SessionStatus.CANCELLED, stream.run.status
            assert model.calls[-1].closed, "the model's stream was left open"

    async def test_each_answer_ends_once(self, kernel: Kernel, model: FakeModel) -> None:
        """Whoever is further in sees one end of each answer: whole, broken or cancelled.

        Mend: return the answer you got; one that you replace must be read to its end.
        """
        inner = next(m for m in kernel.generation.middleware if isinstance(m, Inner))
        gate = Gate()
        model.will_say("Fine.", "Fine.", ["One ", ProviderError("broken")], ["One ", gate])
        await self._chat(kernel)
        await self._stream(kernel)
        with pytest.raises(ProviderError):
            await self._stream(kernel)
        async with kernel.stream(_greeting()) as stream:
            await gate.reached(self.patience)
            stream.run.cancel()
            await stream.run.wait()
        ended = [type(end.error).__name__ if end.error else "whole" for end in inner.ends]
        assert len(ended) == inner.answers, f"{inner.answers} answers, but these ends: {ended}"
        assert ended == ["whole", "whole", "ProviderError", "CancelledError"], ended

    async def test_embeddings_pass(self, kernel: Kernel, model: FakeModel) -> None:
        """Vectors come as the model gives them, and its errors too.

        Mend: return what `call_next` gave.
        """
        texts = ("one", "two")
        async with self.in_time("no vectors came"):
            response = await kernel.embed(texts)
        assert model.embed_requests, "the model was not asked for vectors"
        assert model.embed_requests[-1].input == texts
        assert len(response.embeddings) == 2
        if not self.changes_answers:
            request = EmbeddingRequest(input=texts)
            plain = await model.embed(request, ExecutionContext())
            assert response.embeddings == plain.embeddings, f"the vectors were changed{PURPOSE}"

    async def test_requests_at_once_do_not_mix(self, kernel: Kernel) -> None:
        """Twenty requests at the same time get each their own answer.

        Mend: keep what belongs to one call in local variables, not on `self`.
        """
        names = [f"number-{i}-end" for i in range(20)]
        async with self.in_time("twenty answers did not come"):
            answers = await asyncio.gather(*(kernel.chat(name) for name in names))
        for name, answer in zip(names, answers, strict=True):
            others = [other for other in names if other != name and other in answer.text]
            assert not others, f"the answer to {name!r} holds {others}"
            if not self.changes_answers:
                assert answer.text == name, f"{answer.text!r} is the answer to {name!r}{PURPOSE}"

    async def _chat(self, kernel: Kernel) -> ChatResponse:
        async with self.in_time("no answer came"):
            return await kernel.chat(_greeting())

    async def _stream(self, kernel: Kernel) -> Any:
        async with self.in_time("the stream did not end"):
            async with kernel.stream(_greeting()) as stream:
                text = "".join([chunk.text async for chunk in stream])
            return stream.response, text

    def _compare(self, response: ChatResponse) -> None:
        if self.changes_answers:
            return
        message = response.message
        calls = [(call.id, call.name, call.arguments) for call in message.tool_calls]
        for what, came, said in (
            ("text", message.text, "One two three. ✓"),
            ("reasoning", message.reasoning, "Let me think. "),
            ("tool calls", calls, [("call_1", "today", '{"zone": "UTC"}')]),
            ("finish reason", response.finish_reason, FinishReason.TOOL_CALLS),
            ("usage", response.usage and response.usage.total_tokens, 8),
            ("extras", response.extras, {"fingerprint": "f-1"}),
        ):
            assert came == said, f"the model's {what}, {said!r}, became {came!r}{PURPOSE}"

    def _make(self, subject: Subject, model: FakeModel) -> Kernel:
        return subject.open(
            {
                "chat": {"model": "fake/fake-1", "embedding_model": "fake/fake-1"},
                "kernel": {"cancel_grace": self.stops_within},
                "providers": {"fake": {}},
                "middleware": [subject.table, {"use": "inner"}],
            },
            fake=fake_plugin(model),
            inner=plugin_of(Inner),
        )


def _greeting() -> str:
    """A prompt that was not used before, so that a cache has no answer to it."""
    return f"Hello number {next(_NUMBERS)}"
