"""From what a server sends to chunks and answers; does no I/O."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from dovetail import (
    ChatResponse,
    InvalidResponse,
    SseDecoder,
    StreamingAccumulator,
    StreamingChunk,
    StreamInterrupted,
    error_of_object,
    parse_json,
)
from dovetail_openai.calls import Calls
from dovetail_openai.choices import chunk_of, is_told
from dovetail_openai.holding import Held
from dovetail_openai.usage import usage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from dovetail import ServerSentEvent

# What an ordinary chunk holds; anything else takes the long way.
_CHUNK = frozenset(
    {
        "id",
        "object",
        "created",
        "model",
        "choices",
        "usage",
        "system_fingerprint",
        "service_tier",
        "obfuscation",
    }
)
_CHOICE = frozenset({"index", "delta", "finish_reason", "logprobs"})
_DELTA = frozenset({"content", "role", "reasoning", "reasoning_content"})
_TOLD = frozenset({"object", "model", "choices", "usage", "error", "obfuscation"})
"""Fields of an answer that are no extras: they have a place, or say nothing."""

SHOWN = 80
"""Bytes that an error shows of an answer that is none."""


class StreamParser:
    """Bytes of an event stream in, chunks out.

    Args:
        answers: how many answers were asked for.
    """

    __slots__ = (
        "_answers",
        "_calls",
        "_decoder",
        "_extras",
        "_finished",
        "_held",
        "_model",
        "_plain",
        "_said",
        "done",
        "heard",
    )

    def __init__(self, answers: int = 1) -> None:
        self._answers = answers
        self._decoder = SseDecoder()
        self._calls = Calls()
        self._held = Held()
        self._finished: dict[int, bool] = {}
        self._extras: dict[str, Any] = {}
        self._said: dict[str, Any] = {}
        self._model = ""
        self._plain = False
        self.done = False
        """Whether the server said that nothing more comes."""
        self.heard = 0
        """How many events came."""

    @property
    def complete(self) -> bool:
        """Whether every answer has come to its end; usage may still follow."""
        finished = self._finished
        return len(finished) >= self._answers and all(finished.values())

    def feed(self, data: bytes) -> Iterator[StreamingChunk]:
        """The chunks that `data` completes.

        Raises:
            ProviderError: the server says that something went wrong.
            InvalidResponse: what it says makes no sense.
        """
        for event in self._decoder.feed(data):
            if self.done:
                return
            self.heard += 1
            if event.data == b"[DONE]":
                self.done = True
                return
            raw = parse_json(event.data)
            if self._plain and (chunk := self._quick(raw)) is not None:
                yield chunk
            else:
                with making_sense():
                    chunks = self._slow(raw, event)
                yield from chunks

    def end(self, kind: str = "") -> None:
        """To be called when nothing more comes; `kind` is the content type, where known.

        Raises:
            StreamInterrupted: an answer has not come to its end.
            InvalidResponse: it was no event stream.
        """
        if not self.heard and kind and "event-stream" not in kind:
            raise InvalidResponse(
                f"the server answered with {kind} and not with a stream of events"
            )
        if not self._finished:
            raise StreamInterrupted("the stream ended before an answer began")
        # A server that ignores how many were asked for says `[DONE]` after those it gave.
        if not all(self._finished.values()) or not (self.done or self.complete):
            raise StreamInterrupted(
                "the stream ended in the middle of the answer: the server did not say why it ended"
            )

    def _quick(self, raw: Any) -> StreamingChunk | None:
        """The chunk, if `raw` is no more than a piece of the first answer's text or reasoning."""
        try:
            (choice,) = raw["choices"]
            delta = choice["delta"]
            text = delta.get("content") or ""
            thought = ""
            if len(delta) > 1:
                thought = delta.get("reasoning_content") or delta.get("reasoning") or ""
            if (
                (text or thought)
                and type(text) is str
                and type(thought) is str
                and not choice.get("index")
                and choice.get("finish_reason") is None
                and choice.get("logprobs") is None
                and raw.get("usage") is None
                and _DELTA.issuperset(delta)
                and _CHOICE.issuperset(choice)
                and _CHUNK.issuperset(raw)
            ):
                return StreamingChunk(text, thought)
        except (AttributeError, KeyError, TypeError, ValueError):
            pass  # the long way says what is wrong, if something is
        return None

    def _slow(self, raw: Any, event: ServerSentEvent) -> list[StreamingChunk]:
        check(raw)
        if event.event == "error":
            raise error_of_object(raw)
        self._note(raw)
        chunks = []
        for choice in raw.get("choices") or ():
            chunk = chunk_of(choice, "delta")
            self._calls.add(chunk)
            ended = chunk.finish_reason is not None
            self._finished[chunk.index] = ended or self._finished.get(chunk.index, False)
            if _says_something(chunk):
                chunks.append(chunk)
        usage = usage_of(raw)
        if usage is not None:
            last = chunks.pop() if chunks else StreamingChunk()
            chunks.append(replace(last, usage=usage))
        chunks = self._with_notes(self._held.release(chunks, len(event.data)))
        # The quick way neither opens an answer nor carries what was held back.
        self._plain = self._held.over and 0 in self._finished and not (self._model or self._extras)
        return chunks

    def _note(self, raw: dict[str, Any]) -> None:
        """Remember what is said of the answer as a whole and was not said before."""
        model = raw.get("model")
        if isinstance(model, str) and model != self._said.get("model"):
            self._model = self._said["model"] = model
        for name, value in extras_of(raw).items():
            if name not in self._said or self._said[name] != value:
                self._said[name] = self._extras[name] = value

    def _with_notes(self, chunks: list[StreamingChunk]) -> list[StreamingChunk]:
        """Put what was noted before the first of `chunks`; without any it waits, as `Held` says."""
        if chunks and (self._model or self._extras):
            first = chunks[0]
            if first.index:  # its extras would be that answer's own
                chunks.insert(0, StreamingChunk(model=self._model, extras=self._extras or None))
            else:
                extras = {**self._extras, **(first.extras or {})}
                chunks[0] = replace(first, model=self._model, extras=extras or None)
            self._model, self._extras = "", {}
        return chunks


def parse_whole(raw: Any) -> list[StreamingChunk]:
    """The chunks that say the same as a whole answer.

    Raises:
        ProviderError: the server says that something went wrong.
        InvalidResponse: there is no answer in it, or one that is not complete.
    """
    check(raw)
    choices = raw.get("choices")
    if not choices:
        raise InvalidResponse("the answer has no choices")
    with making_sense():
        chunks = [chunk_of(choice, "message", place) for place, choice in enumerate(choices)]
        for chunk in chunks:
            Calls().add(chunk)
        usage = usage_of(raw)
    places = {chunk.index for chunk in chunks}
    if 0 not in places or len(places) < len(chunks):
        chunks = [replace(chunk, index=place) for place, chunk in enumerate(chunks)]
    if any(chunk.finish_reason is None for chunk in chunks):
        raise InvalidResponse("the answer is not complete: it does not say why it ended")
    model = raw.get("model")
    about = StreamingChunk(
        usage=usage,
        model=model if isinstance(model, str) else "",
        extras=extras_of(raw) or None,
    )
    return [about, *chunks]


def response_of(raw: Any) -> ChatResponse:
    """The same as one response; raises as `parse_whole` does."""
    accumulator = StreamingAccumulator()
    for chunk in parse_whole(raw):
        accumulator.add(chunk)
    with making_sense():
        return accumulator.response()


def check(raw: Any) -> None:
    """See that it is an object without an error.

    Raises:
        ProviderError: it has one, also beside an answer.
        InvalidResponse: it is no object, or its `choices` are no list.
    """
    if not isinstance(raw, dict):
        raise _no_object(raw)
    error = raw if raw.get("object") == "error" else raw.get("error")
    if error is not None and error != "":
        raise error_of_object(error)
    if not isinstance(raw.get("choices") or [], list):
        raise InvalidResponse("the answer's `choices` are no list")


def extras_of(raw: dict[str, Any]) -> dict[str, Any]:
    """What an answer says of itself besides."""
    return {name: value for name, value in raw.items() if name not in _TOLD and is_told(value)}


@contextmanager
def making_sense() -> Generator[None]:
    """Say of an answer what is wrong with it, such as a number that JSON does not have."""
    try:
        yield
    except ValidationError as error:
        wrong = error.errors(include_input=False)[0]["msg"]
        raise InvalidResponse(f"the answer makes no sense: {wrong}") from error


def _no_object(raw: object) -> InvalidResponse:
    said = str(raw).encode(errors="replace")

    def tell(mask: Callable[[bytes], bytes]) -> str:
        shown = mask(said)[:SHOWN].decode(errors="replace")
        return f"the answer is no JSON object: {shown!r}"

    error = InvalidResponse(tell(bytes))
    error.retell = tell
    return error


def _says_something(chunk: StreamingChunk) -> bool:
    return bool(
        chunk.text
        or chunk.reasoning
        or chunk.refusal
        or chunk.tool_calls
        or chunk.finish_reason is not None
        or chunk.extras
        or chunk.annotations
        or chunk.logprobs is not None
    )
