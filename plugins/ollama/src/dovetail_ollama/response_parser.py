"""From what Ollama answers to dovetail's chunks and vectors; does no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import to_json

from dovetail import (
    EmbeddingResponse,
    FinishReason,
    InvalidResponse,
    Logprobs,
    NdjsonDecoder,
    StreamingChunk,
    StreamInterrupted,
    TokenLogprob,
    ToolCallDelta,
    Usage,
    error_of_object,
    new_id,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DURATIONS = {
    "total_duration": "total_s",
    "load_duration": "load_s",
    "prompt_eval_duration": "prompt_s",
    "eval_duration": "answer_s",
}
"""Ollama's names, in nanoseconds, and ours, in seconds."""
_KNOWN = {
    "model",
    "created_at",
    "message",
    "done",
    "done_reason",
    "prompt_eval_count",
    "eval_count",
    "logprobs",
    *_DURATIONS,
}
_NO_ANSWER = {
    reason: f"the server only {did} the model and answered nothing (`done_reason` is `{reason}`), "
    "as it does where it sees no messages: is Ollama itself at `base_url`, does the model's "
    "template have a place for the messages, and is the last one not empty?"
    for reason, did in (("load", "loaded"), ("unload", "unloaded"))
}
_KNOWN_IN_MESSAGE = {"role", "content", "thinking", "tool_calls"}
_HALF_SLACK = 8
_NO_COUNT = 2**63
"""A number that is as large as this counts nothing."""
_MOST_HELD = 65_536
"""Bytes of an answer that may come without saying anything before what they say is handed on."""


class ChatParser:
    """Feed it the bytes of an answer of `/api/chat`; it gives the chunks they complete."""

    def __init__(self, num_ctx: int = 0, estimated: int = 0) -> None:
        """`num_ctx` was sent; `estimated` is about how many tokens the prompt should have."""
        self._lines = NdjsonDecoder()
        self._num_ctx = num_ctx
        self._estimated = estimated
        self._ids: set[str] = set()
        self._begun = False
        self._size = 0
        self._held: dict[str, Any] = {}
        self._held_tokens: list[TokenLogprob] = []
        self.lines = 0
        """How many lines came: each is a sign of progress."""
        self.done = False
        """Whether the answer is complete; what comes after is not looked at."""
        self.cut: int | None = None
        """How many tokens of the prompt were read, if it seems that it was cut."""

    def feed(self, data: bytes) -> Iterator[StreamingChunk]:
        """The chunks that `data` completes; those before an error are given before it is raised.

        Raises:
            InvalidResponse: a line is not what Ollama says.
            ProviderError: a line says what went wrong.
        """
        # A line at a time, so that what is wrong with one is told at once, not with the next piece.
        for piece in data.splitlines(keepends=True):
            if not self._begun:
                self._size += len(piece)
            for line in self._lines.feed(piece):
                yield from self._chunk(line)

    def end(self) -> Iterator[StreamingChunk]:
        """What a last line without a newline says.

        Raises:
            StreamInterrupted: the answer broke off before it was complete.
            ProviderError: as `feed` does.
        """
        try:
            rest = self._lines.end()
        except InvalidResponse as error:
            if self.done:
                return
            if "EOF" not in str(error.__cause__):
                raise
            message = "the answer broke off in the middle of a line"
            raise StreamInterrupted(message) from error
        for line in rest:
            yield from self._chunk(line)
        if not self.done:
            what = "before it was complete" if self.lines else "before it began"
            raise StreamInterrupted(f"the answer ended {what}")

    def _chunk(self, line: Any) -> Iterator[StreamingChunk]:
        if self.done:
            return
        line = _object(line, "a line")
        self.lines += 1
        if (error := line.get("error")) is not None:
            raise error_of_object(error)
        said = _object(line.get("message") or {}, "`message`")
        text, reasoning = _text(said, "content"), _text(said, "thinking")
        calls = tuple(self._calls(said["tool_calls"])) if said.get("tool_calls") else ()
        extras = _unknown(line, _KNOWN)
        if more := _unknown(said, _KNOWN_IN_MESSAGE):
            extras["message"] = more
        logprobs = _logprobs(line["logprobs"]) if line.get("logprobs") else None
        reason: FinishReason | str | None = None
        usage: Usage | None = None
        if line.get("done"):
            self.done = True
            reason = self._reason(_text(line, "done_reason"))
            if reason in _NO_ANSWER and not (self._begun or text or reasoning or calls):
                raise InvalidResponse(_NO_ANSWER[reason])
            usage = _usage(line)
            extras |= self._known_at_the_end(line)
        if not self._begun:
            # A chunk that says nothing would count as handed on: nobody could try again after it.
            self._held |= extras
            self._held_tokens += logprobs.content if logprobs else ()
            if not (text or reasoning or calls or reason or self._size > _MOST_HELD):
                return
            self._begun = True
            extras = self._held
            logprobs = Logprobs(content=tuple(self._held_tokens)) if self._held_tokens else None
        if text or reasoning or calls or extras or reason or logprobs:
            yield StreamingChunk(
                text=text,
                reasoning=reasoning,
                tool_calls=calls,
                finish_reason=reason,
                usage=usage,
                model=_text(line, "model"),
                extras=extras or None,
                logprobs=logprobs,
            )

    def _known_at_the_end(self, line: Mapping[str, Any]) -> dict[str, Any]:
        extras: dict[str, Any] = {}
        if timings := _timings(line):
            extras["timings"] = timings
        read = _count(line, "prompt_eval_count")
        if read is not None and was_cut(read, self._num_ctx, self._estimated):
            self.cut = read
            extras["prompt_cut"] = {"prompt_tokens": read, "num_ctx": self._num_ctx}
        return extras

    def _reason(self, said: str) -> FinishReason | str:
        if said in ("", "stop"):
            # Ollama says `stop` of tool calls too.
            return FinishReason.TOOL_CALLS if self._ids else FinishReason.STOP
        return FinishReason.LENGTH if said == "length" else said

    def _calls(self, raw: Any) -> Iterator[ToolCallDelta]:
        """Each is whole, so each is a call of its own, whatever its id and index repeat."""
        if not isinstance(raw, list):
            raise InvalidResponse("this is not how Ollama answers: `tool_calls` is no list")
        for item in raw:
            call = _object(item, "a tool call")
            function = _object(call.get("function") or {}, "a tool call's `function`")
            given = _text(call, "id")
            id_ = given if given and given not in self._ids else f"call_{new_id()}"
            index = len(self._ids)
            self._ids.add(id_)
            arguments = function.get("arguments")
            if not isinstance(arguments, str):
                arguments = to_json({} if arguments is None else arguments).decode()
            yield ToolCallDelta(id_, _text(function, "name"), arguments, index)


def was_cut(read: int, num_ctx: int, estimated: int) -> bool:
    """Whether a prompt of about `estimated` tokens, of which `read` were read, seems to be cut.

    Ollama does not say. It fills the whole window, in newer versions half of it and two tokens
    more, or it leaves out the oldest messages. A count far below the estimate proves nothing in
    itself, since older versions do not count what they still knew from the request before.
    """
    if num_ctx <= 0:
        return False
    if read >= num_ctx - 1:
        return True
    if estimated < read * 1.5:
        return False
    half = num_ctx // 2
    return half <= read <= half + _HALF_SLACK or estimated > num_ctx * 1.5


def embedding_of(raw: object, texts: int) -> EmbeddingResponse:
    """The answer of `/api/embed`: a list of lists, also for one text.

    Raises:
        InvalidResponse: it is something else, or not a vector for each of the `texts`.
    """
    answer = _object(raw, "the answer")
    vectors = answer.get("embeddings")
    if not isinstance(vectors, list) or len(vectors) != texts:
        count = len(vectors) if isinstance(vectors, list) else "no"
        raise InvalidResponse(f"the server gave {count} vectors for {texts} texts")
    tokens = _count(answer, "prompt_eval_count")
    extras = _unknown(answer, {*_KNOWN, "embeddings"})
    if timings := _timings(answer):
        extras["timings"] = timings
    try:
        response = EmbeddingResponse(
            embeddings=vectors,  # type: ignore[arg-type]  # validated here
            model=_text(answer, "model"),
            usage=None if tokens is None else Usage(prompt_tokens=tokens, total_tokens=tokens),
            extras=extras,
        )
    except ValidationError as error:
        raise InvalidResponse("the server gave vectors that are not lists of numbers") from error
    if len({len(vector) for vector in response.embeddings}) != 1 or not response.embeddings[0]:
        raise InvalidResponse("the server gave vectors that are empty or of different lengths")
    return response


def _usage(line: Mapping[str, Any]) -> Usage | None:
    prompt, answer = _count(line, "prompt_eval_count"), _count(line, "eval_count")
    if prompt is None and answer is None:
        return None
    total = None if prompt is None or answer is None else prompt + answer
    return Usage(prompt_tokens=prompt, completion_tokens=answer, total_tokens=total)


def _timings(line: Mapping[str, Any]) -> dict[str, float]:
    made = {
        ours: int(given) / 1e9
        for theirs, ours in _DURATIONS.items()
        if isinstance(given := line.get(theirs), int | float) and 0 <= given < _NO_COUNT
    }
    answer, seconds = _count(line, "eval_count"), made.get("answer_s")
    if answer is not None and seconds:
        made["tokens_per_s"] = round(answer / seconds, 2)
    return made


def _logprobs(raw: Any) -> Logprobs:
    try:
        return Logprobs(content=tuple([_token(token) for token in raw]))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidResponse("this is not how Ollama answers: `logprobs`") from error


def _token(raw: dict[str, Any]) -> TokenLogprob:
    top = tuple([_token(token) for token in raw.get("top_logprobs") or ()])
    return TokenLogprob.model_validate(
        {"token": raw["token"], "logprob": raw["logprob"], "bytes": raw.get("bytes"), "top": top}
    )


def _count(line: Mapping[str, Any], key: str) -> int | None:
    value = line.get(key)
    return value if isinstance(value, int) and 0 <= value < _NO_COUNT else None


def _unknown(line: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    if line.keys() <= known:
        return {}
    return {k: value for k, value in line.items() if k not in known and value is not None}


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidResponse(f"this is not how Ollama answers: {what} is no object")
    return value


def _text(line: Mapping[str, Any], key: str) -> str:
    value = line.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidResponse(f"this is not how Ollama answers: `{key}` is no text")
    return value
