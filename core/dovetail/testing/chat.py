"""What a `ChatProvider` promises."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from contextvars import copy_context
from typing import TYPE_CHECKING, ClassVar, cast

from dovetail.chat.messages import ChatMessage, ImagePart, TextPart
from dovetail.chat.requests import ChatRequest, FunctionTool, ResponseFormat
from dovetail.chat.responses import ChatResponse, FinishReason, ModelInfo
from dovetail.chat.runs import SessionStatus
from dovetail.context import ExecutionContext
from dovetail.errors import InvalidRequest, ModelNotFound, ProviderError
from dovetail.testing.component import ComponentContract
from dovetail.testing.leaks import Census, within
from dovetail.testing.subject import INSTANCE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from dovetail.chat.chunks import StreamingChunk
    from dovetail.chat.providers import ChatProvider
    from dovetail.chat.stream import ChatStream
    from dovetail.kernel import Kernel
    from dovetail.testing.subject import Subject

NO_SUCH_MODEL = "dovetail-contract-no-such-model"
PIXEL = (  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)


class ChatProviderContract(ComponentContract):
    """Subclass it, and give a fixture `subject` that returns a `Subject`.

    The class's attributes say what your model is like; most providers change none.
    """

    hook = "providers"
    prompt: ClassVar[str] = "Count from one to twenty, in words."
    """Something that the model answers with several words."""
    other_prompt: ClassVar[str] = "Name the days of the week."
    max_tokens: ClassVar[int] = 24
    """How long an answer may get, since a real model's time costs."""
    repeatable: ClassVar[bool] = True
    """Whether the same request (temperature 0, a seed) gets the same words again."""
    stops_within: ClassVar[float] = 1.0
    """Seconds in which an answer that nobody wants any more has stopped."""

    def open(self, subject: Subject) -> Kernel:
        """A kernel whose only provider is the subject."""
        model = f"{INSTANCE}/{subject.model}" if subject.model else INSTANCE
        return subject.open(
            {
                "chat": {"model": model},
                "kernel": {"cancel_grace": self.stops_within},
                "providers": {INSTANCE: subject.table},
            }
        )

    def find(self, kernel: Kernel) -> ChatProvider:
        """The running provider."""
        return cast("ChatProvider", kernel.generation.providers[INSTANCE])

    async def use(self, kernel: Kernel) -> None:
        """Ask it once."""
        await kernel.chat(self.request())

    def request(self, prompt: str = "", model: str = "") -> ChatRequest:
        """A short request that a model can repeat."""
        message = ChatMessage.user(prompt or self.prompt)
        return ChatRequest(
            messages=(message,), model=model, max_tokens=self.max_tokens, temperature=0, seed=7
        )

    async def test_it_answers(self, kernel: Kernel) -> None:
        """A request gets an answer that says something, and why it ended.

        Mend: yield chunks with `text` (or `reasoning`, `tool_calls`), or return a `ChatResponse`.
        """
        response = await self._ask(kernel)
        assert _says(response), f"the answer is empty: {response!r}"
        assert response.finish_reason in (FinishReason.STOP, FinishReason.LENGTH), (
            f"an ordinary answer ended with {response.finish_reason!r}"
        )
        assert response.provider == INSTANCE

    async def test_a_stream_says_what_the_whole_answer_says(self, kernel: Kernel) -> None:
        """`chat` and `stream` give the same text, finish reason and usage.

        Mend: build both from one request and one decoder. Set `repeatable = False` in the contract
        if the model cannot say the same twice.
        """
        whole = await self._ask(kernel)
        streamed, chunks = await self._read(kernel)
        assert "".join(chunk.text for chunk in chunks) == streamed.text
        assert streamed.finish_reason == whole.finish_reason, (
            f"whole: {whole.finish_reason}, streamed: {streamed.finish_reason}"
        )
        assert (streamed.usage is None) == (whole.usage is None), (
            f"usage comes on one way only; whole: {whole.usage}, streamed: {streamed.usage}"
        )
        if streamed.usage is not None and whole.usage is not None:
            assert streamed.usage.prompt_tokens == whole.usage.prompt_tokens, (
                f"the same prompt counts {whole.usage} whole and {streamed.usage} streamed"
            )
        if self.repeatable:
            assert streamed.message == whole.message, f"{streamed.message} != {whole.message}"

    async def test_the_finish_reason_comes_once_and_last(self, kernel: Kernel) -> None:
        """No text comes after the finish reason, and no second one; usage may come after it.

        Mend: set `finish_reason` on the last chunk that has text, or on one after it.
        """
        chunks = await self._chunks(kernel, self.request(model=self._model(kernel)))
        reasons = [i for i, chunk in enumerate(chunks) if chunk.finish_reason is not None]
        assert len(reasons) <= 1, f"the finish reason came {len(reasons)} times"
        if reasons:
            late = [c for c in chunks[reasons[0] + 1 :] if c.text or c.reasoning or c.tool_calls]
            assert not late, f"this came after the finish reason: {late!r}"

    async def test_usage_adds_up(self, kernel: Kernel) -> None:
        """Tokens are counted for the whole answer: the total is no less than its parts.

        Mend: give usage once, or let each count be the sum so far: later counts win.
        """
        for response in (await self._ask(kernel), (await self._read(kernel))[0]):
            usage = response.usage
            if usage is not None and usage.total_tokens is not None:
                parts = (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
                assert usage.total_tokens >= parts, f"total {usage.total_tokens} < {parts}: {usage}"
            if usage is not None and usage.completion_tokens is not None:
                assert usage.completion_tokens > 0, f"no token counted for an answer: {usage}"

    async def test_no_model_means_its_default(self, kernel: Kernel) -> None:
        """With an empty `request.model` it uses its default; without one it says to name a model.

        Mend: `request.model or self.settings.model`; without either raise `ModelNotFound`.
        """
        try:
            chunks = await self._chunks(kernel, self.request(model=""))
        except InvalidRequest:
            return
        assert chunks, "a request without a model got no chunk"

    async def test_an_unknown_model_is_not_found_or_answered(self, kernel: Kernel) -> None:
        """A model it does not have is a `ModelNotFound`; a provider of one model may answer.

        Mend: raise `dovetail.ModelNotFound` where the other side says there is no such model.
        """
        try:
            await self._chunks(kernel, self.request(model=NO_SUCH_MODEL))
        except ModelNotFound:
            pass
        except Exception as error:  # whatever else comes out is the finding
            raise AssertionError(f"an unknown model raised {error!r}, no ModelNotFound") from error

    async def test_what_it_cannot_do_is_a_provider_error(self, kernel: Kernel) -> None:
        """Images, tools, JSON output, tool messages: it does them or raises a `ProviderError`.

        Mend: check what the model cannot take, and raise `dovetail.InvalidRequest` naming it.
        """
        model = self._model(kernel)
        for what, request in _unusual(self.request(model=model)).items():
            try:
                await self._chunks(kernel, request)
            except ProviderError:
                continue
            except Exception as error:  # whatever else comes out is the finding
                raise AssertionError(f"{what} raised {error!r}, no ProviderError") from error

    async def test_closing_its_generator_stops_it(self, kernel: Kernel) -> None:
        """`aclose()` on the generator after a chunk ends it within `stops_within` seconds.

        Mend: release the connection in a `finally` that does not wait long, and yield nothing
        there; do not catch `GeneratorExit`.
        """
        stream = self._generator(kernel, self.request(model=self._model(kernel)))
        async with self.in_time("the first chunk did not come"):
            await anext(stream, None)
        async with within(self.stops_within, "the generator did not close"):
            await stream.aclose()

    async def test_cancelling_stops_its_answer(self, kernel: Kernel) -> None:
        """A turn that is cancelled, before its first chunk or later, stops within `stops_within`.

        Mend: let `CancelledError` through (`except Exception` does, a bare `except` does not); run
        blocking work in a thread and tell it to stop in a `finally`.
        """
        async with self.in_time("no answer came"):
            await self.use(kernel)  # what is loaded on first use shall not count
        for first in (False, True):
            async with self._stream(kernel) as stream:
                if first:
                    async with self.in_time("the first chunk did not come"):
                        await anext(stream, None)
                else:
                    await asyncio.sleep(0)  # let the turn reach the provider
                when = "after its first chunk" if first else "at once"
                stream.run.cancel()
                async with within(self.stops_within, f"a turn cancelled {when} did not stop"):
                    await stream.run.wait()
                status = stream.run.status
            good = (SessionStatus.CANCELLED, SessionStatus.COMPLETED)
            assert status in good, f"a turn cancelled {when} is {status}"

    async def test_streams_left_early_leave_nothing_behind(self, kernel: Kernel) -> None:
        """Leaving five streams after their first chunk leaves no task, thread or socket.

        Mend: close the upstream response in a `finally`, and await the tasks you cancel there.
        """
        times = 5
        for _ in range(2):  # what is opened once and kept, such as a pool, is no leak
            await self._leave_early(kernel)
        census = Census.take()
        for _ in range(times):
            await self._leave_early(kernel)
        left = await census.settled(times)
        assert not left, f"{times} streams that were left early left {'; '.join(left)}"

    async def test_two_answers_at_once_do_not_mix(self, kernel: Kernel) -> None:
        """Requests at the same time are each answered as if they were alone.

        Mend: keep what belongs to one request in local variables, not on `self`.
        """
        prompts = (self.prompt, self.other_prompt)
        alone = [await self._ask(kernel, prompt) for prompt in prompts]
        together = await asyncio.gather(*(self._ask(kernel, prompt) for prompt in prompts))
        for before, now in zip(alone, together, strict=True):
            assert _says(now), "one of two answers at once is empty"
            if self.repeatable:
                assert now.message == before.message, f"{now.message} != {before.message}"

    async def test_it_leaves_no_context_variable_set(self, kernel: Kernel) -> None:
        """What it sets in a `ContextVar` while it answers is set back at the end.

        A generator runs in its reader's context, so that middleware would see it.
        Mend: `var.reset(token)` in a `finally`, or set it in a task of your own.
        """
        before = copy_context()
        await self._chunks(kernel, self.request(model=self._model(kernel)))
        after = copy_context()
        left = [var.name for var in after if var not in before or after[var] is not before[var]]
        assert not left, f"these context variables stay set: {', '.join(left)}"

    async def test_its_answer_survives_json(self, kernel: Kernel) -> None:
        """An answer written as JSON and read back is the same.

        Mend: put only JSON values into `extras` and `metadata`.
        """
        for response in (await self._ask(kernel), (await self._read(kernel))[0]):
            again = ChatResponse.model_validate_json(response.model_dump_json())
            assert again == response, f"{again!r} != {response!r}"

    async def test_it_lists_its_models_or_none(self, kernel: Kernel) -> None:
        """`models()` gives a `ModelInfo` for each model, by the name a request uses; or nothing.

        Mend: ids without the instance's name (the kernel adds it), each once.
        """
        async with self.in_time("it did not list its models"):
            models = await self.find(kernel).models()
        assert all(isinstance(info, ModelInfo) for info in models), f"no ModelInfo in {models!r}"
        ids = [info.id for info in models]
        assert all(ids) and len(set(ids)) == len(ids), f"empty or repeated ids: {ids}"
        prefixed = [id_ for id_ in ids if id_.startswith(f"{INSTANCE}/")]
        assert not prefixed, f"ids with the instance's name: {prefixed}"

    async def test_it_counts_tokens_or_says_it_cannot(self, kernel: Kernel) -> None:
        """`count_tokens` and `context_window` give a positive number, or None; more text is more.

        Mend: count the messages of the request that is passed, and return None if you cannot.
        """
        provider, model = self.find(kernel), self._model(kernel)
        async with self.in_time("it did not count tokens"):
            short = await provider.count_tokens(self.request("one", model))
            longer = await provider.count_tokens(self.request("one two three four " * 50, model))
            window = await provider.context_window(model)
        if short is not None or longer is not None:
            assert short is not None and longer is not None and 0 < short < longer, (
                f"a short message counts {short} tokens, a long one {longer}"
            )
        assert window is None or window > 0, f"a context window of {window}"

    def _model(self, kernel: Kernel) -> str:
        return kernel.generation.chat.model.partition("/")[2]

    async def _ask(self, kernel: Kernel, prompt: str = "") -> ChatResponse:
        async with self.in_time("no answer came"):
            return await kernel.chat(self.request(prompt))

    def _stream(self, kernel: Kernel) -> ChatStream:
        return kernel.stream(self.request())

    async def _read(self, kernel: Kernel) -> tuple[ChatResponse, list[StreamingChunk]]:
        async with self.in_time("the stream did not end"), self._stream(kernel) as stream:
            chunks = [chunk async for chunk in stream]
            return stream.response, chunks

    async def _leave_early(self, kernel: Kernel) -> None:
        limit = self.in_time("a stream could not be left")
        async with limit, self._stream(kernel) as stream:
            await anext(stream, None)

    def _generator(self, kernel: Kernel, request: ChatRequest) -> AsyncGenerator[StreamingChunk]:
        stream = self.find(kernel).send_message_stream(request, ExecutionContext())
        return cast("AsyncGenerator[StreamingChunk]", stream)

    async def _chunks(self, kernel: Kernel, request: ChatRequest) -> list[StreamingChunk]:
        """What the provider itself yields, without the kernel around it."""
        limit = self.in_time("the answer did not end")
        async with limit, aclosing(self._generator(kernel, request)) as stream:
            return [chunk async for chunk in stream]


def _says(response: ChatResponse) -> bool:
    message = response.message
    return bool(message.text or message.reasoning or message.tool_calls or message.refusal)


def _unusual(plain: ChatRequest) -> dict[str, ChatRequest]:
    """Requests that not every model can take."""
    image = ChatMessage.user((TextPart(text="What is this?"), ImagePart(data=PIXEL)))
    tool = FunctionTool(name="today", description="The date of today.")
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    changes: dict[str, dict[str, object]] = {
        "an image": {"messages": (image,)},
        "a tool": {"tools": (tool,), "tool_choice": "auto"},
        "a JSON Schema": {
            "response_format": ResponseFormat(type="json_schema", json_schema=schema)
        },
        "several system messages": {
            "messages": (ChatMessage.system("Be brief."), *plain.messages, ChatMessage.system("!"))
        },
        "stop words": {"stop": ("seven", "\n\n")},
        "an empty message": {"messages": (ChatMessage.user(""),)},
    }
    return {what: plain.model_copy(update=change) for what, change in changes.items()}
