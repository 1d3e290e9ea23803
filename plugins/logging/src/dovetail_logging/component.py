"""The middleware: it measures calls and has a line written when they end."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Any

from dovetail import (
    Answer,
    ChatCall,
    ChatResponse,
    EmbedCall,
    EmbeddingResponse,
    End,
    EventCall,
    Middleware,
    NotReady,
    Suggestion,
)
from dovetail_logging.fields import about_chat, about_embed, about_error, about_event, shown
from dovetail_logging.logger import make_logger
from dovetail_logging.settings import LoggingSettings
from dovetail_logging.sinks import FileSink, Sink, StderrSink


class Logging(Middleware):
    """Writes one line for each model call, whether it ends well, fails or is cancelled.

    Deliveries of events have a line if they fail, and at the level `debug` all of them.
    """

    settings: LoggingSettings
    _sink = Sink()

    async def start(self) -> None:
        """Open the file, if there is one.

        Raises:
            NotReady: it cannot be opened.
        """
        self._sink = _open_sink(self.settings)
        self._log = make_logger(self._sink, self.settings.format)
        self._only_failures = self.settings.level in {"warning", "error"}
        self._deliveries = self.settings.level == "debug"

    async def stop(self) -> None:
        """Close the file."""
        self._sink.close()

    @classmethod
    def suggestion(cls) -> Suggestion:
        """A file, so that no line comes between the answers of a conversation on a terminal."""
        return Suggestion(
            values={"file": "dovetail.log"},
            rank=10,
            comment="A line of JSON for each model call; without `file` they go to stderr.",
        )

    async def chat(
        self, call: ChatCall, call_next: Callable[[ChatCall], Awaitable[Answer]]
    ) -> Answer:
        """Measure the call and its first chunk; the line is written when the answer ends."""
        began = perf_counter()
        try:
            answer = await call_next(call)
        except BaseException as error:  # also a cancel
            with suppress(Exception):  # nothing that goes wrong here may take the place of `error`
                self._write_chat(call, perf_counter() - began, error)
            raise
        first = None if answer.complete else perf_counter() - began
        answer.on_end(partial(self._chat_ended, call, answer, began, first))
        return answer

    async def embed(
        self, call: EmbedCall, call_next: Callable[[EmbedCall], Awaitable[EmbeddingResponse]]
    ) -> EmbeddingResponse:
        """Measure the call; the line is written when it ends."""
        began = perf_counter()
        try:
            response = await call_next(call)
        except BaseException as error:  # as in `chat`
            with suppress(Exception):
                self._write(about_embed(call, None, perf_counter() - began), error)
            raise
        with suppress(Exception):  # the vectors matter more than the line
            self._write(about_embed(call, response, perf_counter() - began), None)
        return response

    async def event(
        self, call: EventCall, call_next: Callable[[EventCall], Awaitable[None]]
    ) -> None:
        """Measure the delivery; the line is written when the provider has been told."""
        began = perf_counter()
        try:
            await call_next(call)
        except BaseException as error:  # as in `chat`
            with suppress(Exception):
                self._write(about_event(call, perf_counter() - began), error)
            raise
        if self._deliveries:
            with suppress(Exception):
                self._write(about_event(call, perf_counter() - began), None)

    def _chat_ended(
        self, call: ChatCall, answer: Answer, began: float, first: float | None, end: End
    ) -> None:
        if not self._only_failures or isinstance(end.error, Exception):
            self._write_chat(call, perf_counter() - began, end.error, answer, end.response, first)

    def _write_chat(
        self,
        call: ChatCall,
        seconds: float,
        error: BaseException | None,
        answer: Answer | None = None,
        response: ChatResponse | None = None,
        first: float | None = None,
    ) -> None:
        fields = about_chat(call, answer, response, seconds, first)
        if self.settings.content:
            limit, patterns = self.settings.content_chars, self.settings.redact_patterns
            messages = call.request.messages
            fields["prompt"] = shown(messages[-1].text, limit, patterns) if messages else ""
            if response is not None:
                fields["answer"] = shown(response.text, limit, patterns)
        self._write(fields, error)

    def _write(self, fields: dict[str, Any], error: BaseException | None) -> None:
        if isinstance(error, Exception):
            about_error(fields, error, self.settings.redact_patterns)
        elif self._only_failures:
            return
        elif error is not None:
            # CancelledError, or GeneratorExit where the reader of a stream went away.
            fields["outcome"] = "cancelled"
        if self._sink.lost:
            fields["lines_lost"] = self._sink.lost
        self._log.write(fields)


def _open_sink(settings: LoggingSettings) -> Sink:
    if settings.file is None:
        return StderrSink()
    try:
        return FileSink(settings.file)
    except OSError as error:
        raise NotReady(
            f"the log file `{settings.file}` cannot be opened: {error.strerror}; "
            "name another as `file`, or leave it out to log to stderr"
        ) from error
