"""The provider: requests to a server that speaks OpenAI's language, and its answers."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar

from dovetail import (
    AuthenticationError,
    ChatProvider,
    ChatRequest,
    ChatResponse,
    EmbeddingProvider,
    EmbeddingRequest,
    EmbeddingResponse,
    ExecutionContext,
    InvalidRequest,
    InvalidResponse,
    ModelInfo,
    ModelNotFound,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    StreamingChunk,
    StreamInterrupted,
    Suggestion,
    Usage,
    parse_json,
    redact,
)
from dovetail_openai.embeddings import vectors_of
from dovetail_openai.models import models_of, named
from dovetail_openai.request_builder import RequestBuilder
from dovetail_openai.response_parser import StreamParser, making_sense, parse_whole, response_of
from dovetail_openai.servers import Server
from dovetail_openai.settings import OpenAISettings
from dovetail_openai.usage import usage_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Sequence

    from dovetail import HttpClient, Reply, StreamedReply

LINGER_SECONDS = 5.0
"""How long usage or `[DONE]` may take to come after the last answer has ended."""
DRAIN_SECONDS = 0.25
"""How long the end of the body may take to come after `[DONE]`."""
DRAIN_BYTES = 65536
"""Bytes that are read meanwhile."""
WHOLE_BYTES = 256 * 1024 * 1024
"""Bytes of an answer that comes whole though a stream was asked for."""
_KEY = "OPENAI_API_KEY"


class OpenAI(ChatProvider, EmbeddingProvider):
    """Talks to OpenAI, or to any server that speaks like it."""

    name: ClassVar[str] = "openai"
    settings: OpenAISettings

    def __init__(self) -> None:
        self._client: HttpClient | None = None

    async def start(self) -> None:
        """Prepare the connections; makes none."""
        from dovetail import HttpClient  # httpx takes longer to import than all the rest

        settings = self.settings
        self._server = server = Server.of(settings)
        self._builder = RequestBuilder(
            max_tokens_field=server.max_tokens_field,
            stream_usage=server.stream_usage,
            reasoning_field=settings.reasoning_field,
            body=settings.body,
        )
        self._client = HttpClient(settings.base_url, settings.http, headers=server.headers)

    async def stop(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def send_message(self, request: ChatRequest, context: ExecutionContext) -> ChatResponse:
        """The whole answer, asked for as a whole.

        Raises:
            ProviderError: of the class that fits; see `dovetail.errors`.
        """
        reply: Reply | None = None
        try:
            model = self._model(request.model or self.settings.model)
            body = self._builder.chat(request, model, stream=False)
            reply = await self._http.post(self._server.address("chat/completions", model), body)
            with _json(reply) as raw:
                return response_of(raw)
        except ProviderError as error:
            self._explain(error, reply)
            raise

    async def send_message_stream(  # noqa: C901 - a generator inside would cost each chunk
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncGenerator[StreamingChunk]:
        """The answer's chunks as they come; `index` tells several answers (`n`) apart.

        Raises:
            ProviderError: of the class that fits; see `dovetail.errors`.
        """
        reply: StreamedReply | None = None
        try:
            model = self._model(request.model or self.settings.model)
            body = self._builder.chat(request, model, stream=True)
            path = self._server.address("chat/completions", model)
            async with self._http.stream(path, body) as reply:
                kind = reply.headers.get("content-type", "")
                _refuse_pages(kind)
                if "json" in kind:
                    for chunk in parse_whole(parse_json(await reply.read(WHOLE_BYTES))):
                        yield chunk
                    return
                parser = StreamParser(_answers(body))
                async with aclosing(reply.chunks()) as source:
                    heard = 0
                    async for data in source:
                        for chunk in parser.feed(data):
                            yield chunk
                        if parser.done or parser.complete:
                            break
                        if parser.heard != heard:  # comments are no progress
                            heard = parser.heard
                            reply.progress()
                    while not parser.done and (last := await _linger(source)) is not None:
                        for chunk in parser.feed(last):
                            yield chunk
                    if parser.done:
                        await _drain(source)
                parser.end(kind)
        except ProviderError as error:
            self._explain(error, reply)
            raise

    async def embed(
        self, request: EmbeddingRequest, context: ExecutionContext
    ) -> EmbeddingResponse:
        """A vector for each text, by as many requests as `embedding_batch` makes of them.

        Raises:
            ProviderError: of the class that fits; see `dovetail.errors`.
        """
        settings = self.settings
        try:
            model = self._model(request.model or settings.embedding_model or settings.model)
            path = self._server.address("embeddings", model)
            vectors: list[tuple[float, ...]] = []
            usage: Usage | None = None
            said = ""
            for start in range(0, len(request.input), settings.embedding_batch):
                texts = request.input[start : start + settings.embedding_batch]
                body = self._builder.embedding(request, model, texts)
                with _json(await self._http.post(path, body)) as raw:
                    vectors += vectors_of(raw, texts, request.dimensions)
                    usage = _sum(usage, usage_of(raw))
                    said = raw.get("model") or said
            with making_sense():
                return EmbeddingResponse(
                    embeddings=tuple(vectors), model=str(said) or model, usage=usage
                )
        except ProviderError as error:
            self._explain(error)
            raise

    async def models(self) -> Sequence[ModelInfo]:
        """The models that the server lists; those in the settings where it lists none."""
        settings = self.settings
        known = named((*settings.models, settings.model, settings.embedding_model))
        if not self._server.lists_models:
            return known
        try:
            with _json(await self._http.get("/models")) as raw:
                return models_of(raw) or known
        except (InvalidRequest, InvalidResponse):
            return known  # many a small server has no such address
        except ProviderError as error:
            self._explain(error)
            raise

    async def context_window(self, model: str) -> int | None:
        """As the settings say."""
        return self.settings.context_window

    @classmethod
    def suggestion(cls) -> Suggestion | None:
        """OpenAI itself, where its key is in the environment."""
        if not os.environ.get(_KEY):
            return None
        return Suggestion(
            values={"api_key": f"${{{_KEY}}}"}, model="gpt-4o-mini", rank=40, comment="needs a key"
        )

    @property
    def _http(self) -> HttpClient:
        if self._client is None:
            raise ProviderUnavailable("the provider was stopped", may_retry=False)
        return self._client

    def _model(self, model: str) -> str:
        if not model:
            raise ModelNotFound("no model is named: set `model` in this instance's table")
        return model

    def _explain(self, error: ProviderError, reply: Reply | StreamedReply | None = None) -> None:
        """Take the keys out of what the error says, and add what can be done about it."""
        if reply is not None:
            error.complete(request_id=reply.request_id)
        said = redact(error.message, self._server.secrets)
        if isinstance(error, AuthenticationError) and self.settings.api_key is None:
            said += "; no `api_key` is set"
        elif isinstance(error, InvalidRequest):
            if "stream_options" in said:
                said += '; set `stream_usage = "off"` in this instance\'s table'
            elif "max_completion_tokens" in said or "max_tokens" in said:
                said += "; see `max_tokens_field` in this instance's table"
        error.message = said
        error.args = (said,)


async def _linger(source: AsyncGenerator[bytes]) -> bytes | None:
    """More after the last answer's end, such as its usage; None if there is no more.

    A break or a stall is an end here: nothing is lost that a reader waits for.
    """
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            return await anext(source, None)
    except (TimeoutError, ProviderTimeout, StreamInterrupted):
        return None


async def _drain(source: AsyncGenerator[bytes]) -> None:
    """Read to the end of the body, so that its connection can be used again."""
    size = 0
    with suppress(TimeoutError, ProviderTimeout, StreamInterrupted):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for data in source:
                size += len(data)
                if size > DRAIN_BYTES:
                    return


@contextmanager
def _json(reply: Reply) -> Generator[Any]:
    """Its JSON; an error that is raised about it shows no key that was sent."""
    _refuse_pages(reply.headers.get("content-type", ""))
    try:
        yield reply.json()
    except ProviderError as error:
        reply.keys.hide(error)
        raise


def _refuse_pages(kind: str) -> None:
    if "html" in kind:
        raise InvalidResponse(
            f"the server answered with a page for people ({kind}) and not with data; does "
            "`base_url` end as it should, such as in `/v1`?"
        )


def _answers(body: dict[str, Any]) -> int:
    n = body.get("n")
    return n if isinstance(n, int) else 1


def _sum(one: Usage | None, other: Usage | None) -> Usage | None:
    if one is None or other is None:
        return one or other
    return Usage(
        prompt_tokens=(one.prompt_tokens or 0) + (other.prompt_tokens or 0),
        total_tokens=(one.total_tokens or 0) + (other.total_tokens or 0),
    )
