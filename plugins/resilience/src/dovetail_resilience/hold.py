"""Holding a stream back, so that it can still be tried again if it breaks early."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from dovetail import Answer, ChatResponse, StreamingChunk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from dovetail import End


class Hold:
    """How much of a stream is held back."""

    __slots__ = ("_chunks", "characters", "nothing", "whole")

    def __init__(self, text: str) -> None:
        number, _, unit = text.partition(" ")
        self.nothing = text in {"first_chunk", "1 chunk", "1 chunks"}
        """Whether an answer whose first chunk is there is handed on as it is."""
        self.whole = text == "end"
        self._chunks = int(number) if unit.startswith("chunk") else 0
        self.characters = int(number) if unit.startswith("character") else 0

    def enough(self, chunks: int, characters: int) -> bool:
        """Whether so much may be handed on."""
        if self._chunks:
            return chunks >= self._chunks
        return bool(self.characters) and characters >= self.characters


async def read_whole(answer: Answer) -> Answer:
    """The same answer once its end is there; raises what broke it."""
    await answer.read()
    return _again(answer)


async def read_ahead(answer: Answer, hold: Hold) -> Answer:
    """The same answer once enough of it is there; raises what broke it until then."""
    chunks = answer.chunks()
    held: list[StreamingChunk] = []
    characters = 0
    async for chunk in chunks:
        held.append(chunk)
        characters += len(chunk.text) + len(chunk.reasoning) + len(chunk.refusal)
        if hold.enough(len(held), characters):
            break
    else:
        return _again(answer)
    handed = await Answer.begin(
        _held_and_rest(held, chunks),
        provider=answer.provider,
        model=answer.model,
        context=answer.context,
    )
    handed.on_end(_Told(answer))
    return handed


async def broken(answer: Answer, error: Exception) -> Answer:
    """An answer that says what had come of `answer` and then raises `error`, as it did itself."""
    handed = await Answer.begin(
        _partial(answer.response, error),
        provider=answer.provider,
        model=answer.model,
        context=answer.context,
    )
    handed.metadata.update(answer.response.metadata)
    return handed


def left_something(answer: Answer) -> bool:
    """Whether something came of an answer that broke."""
    message = answer.response.message
    return bool(message.text or message.reasoning or message.refusal)


def _again(answer: Answer) -> Answer:
    """An answer with the response of one that was read; that one can be read only once."""
    return Answer.of(
        answer.response, provider=answer.provider, model=answer.model, context=answer.context
    )


class _Told:
    """Carries over what those further in made of the response when it ended."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Answer) -> None:
        self._inner = inner

    def __call__(self, end: End) -> ChatResponse | None:
        inner = self._inner
        if not inner.complete:
            return None
        told = inner.response
        changed: dict[str, object] = {"metadata": {**end.response.metadata, **told.metadata}}
        # What they made of the message themselves, rather than of the chunks that were handed on.
        if end.error is None and inner.accumulator is not None:
            plain = inner.accumulator.response().message
            if told.message != plain:
                changed["message"] = told.message
        return end.response.model_copy(update=changed)


async def _held_and_rest(
    held: list[StreamingChunk], rest: AsyncGenerator[StreamingChunk]
) -> AsyncIterator[StreamingChunk]:
    async with aclosing(rest):
        for chunk in held:
            yield chunk
        held.clear()
        async for chunk in rest:
            yield chunk


async def _partial(response: ChatResponse, error: Exception) -> AsyncIterator[StreamingChunk]:
    message = response.message
    yield StreamingChunk(
        text=message.text,
        reasoning=message.reasoning,
        refusal=message.refusal,
        usage=response.usage,
        model=response.model,
        extras=response.extras or None,
    )
    raise error
