"""The provider: requests in, chunks and vectors out, by one Ollama server."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import ClassVar

import structlog

from dovetail import (
    ChatProvider,
    ChatRequest,
    EmbeddingProvider,
    EmbeddingRequest,
    EmbeddingResponse,
    ExecutionContext,
    InvalidRequest,
    ModelInfo,
    ModelNotFound,
    ProviderError,
    ProviderUnavailable,
    StreamingChunk,
    Suggestion,
)
from dovetail_ollama.models import LocalModel
from dovetail_ollama.request_builder import build_chat, build_embed, estimate
from dovetail_ollama.response_parser import ChatParser, embedding_of
from dovetail_ollama.server import OllamaServer
from dovetail_ollama.settings import OllamaSettings

log = structlog.get_logger("dovetail.ollama")

MOST_CARDS = 64
"""Models that are asked for their window when all are listed."""
AT_ONCE = 8
LINGER = 1.0
"""Seconds that the end of a complete answer is waited for, so that its connection can be kept."""


class Ollama(ChatProvider, EmbeddingProvider):
    """Talks to an Ollama server by its native API.

    Answers are always streamed from the server: a long one would otherwise look like silence.
    """

    name: ClassVar[str] = "ollama"
    settings: OllamaSettings

    def __init__(self) -> None:
        self._server: OllamaServer | None = None

    async def start(self) -> None:
        """Make ready to connect; the server need not be there yet."""
        self._server = OllamaServer(self.settings, self.instance)

    async def stop(self) -> None:
        """Close every connection."""
        server, self._server = self._server, None
        if server is not None:
            await server.aclose()

    @property
    def server(self) -> OllamaServer:
        """The server's own commands: list, pull, load and more.

        Raises:
            ProviderUnavailable: the provider does not run.
        """
        if self._server is None:
            raise ProviderUnavailable("the provider was stopped")
        return self._server

    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncGenerator[StreamingChunk]:
        """The answer's chunks. The last has the usage, and in `extras` the `timings` in seconds.

        If the prompt seems to have been cut there is a warning in the log, and `prompt_cut` in
        `extras` has both numbers.

        Raises:
            ModelNotFound: there is no such model; with the command that fetches it.
            InvalidRequest: an image's address, a `tool_choice` that Ollama cannot keep, ….
            StreamInterrupted: the answer broke off.
            ProviderError: as the server says.
        """
        server, model = self.server, _named(request.model or self.settings.model, "model")
        body = build_chat(request, model, self.settings, await server.num_ctx(model))
        num_ctx = body["options"]["num_ctx"]
        parser = ChatParser(num_ctx if isinstance(num_ctx, int) else 0, estimate(body))
        async with server.chat(body) as reply, aclosing(reply.chunks()) as pieces:
            async for data in pieces:
                before = parser.lines
                for chunk in parser.feed(data):
                    yield chunk
                if parser.lines != before:
                    reply.progress()
                if parser.done:
                    await _finish(pieces)
                    break
            for chunk in parser.end():
                yield chunk
        if parser.cut is not None:
            log.warning(
                "the prompt seems to have been cut by Ollama: raise `num_ctx` in its settings, or "
                "send less",
                instance=self.instance,
                model=model,
                num_ctx=num_ctx,
                prompt_tokens=parser.cut,
            )

    async def embed(
        self, request: EmbeddingRequest, context: ExecutionContext
    ) -> EmbeddingResponse:
        """One vector for each text.

        Raises:
            ModelNotFound: there is no such model; with the command that fetches it.
            InvalidRequest: the model cannot give vectors of the `dimensions` asked for.
            ProviderError: as the server says.
        """
        server = self.server
        model = _named(request.model or self.settings.embedding_model, "embedding_model")
        body = build_embed(request, model, self.settings, await server.num_ctx(model))
        response = embedding_of(await server.embed(body), len(request.input))
        width = len(response.embeddings[0])
        if request.dimensions not in (None, width):
            message = f"`{model}` gives vectors of {width} dimensions, not of {request.dimensions}"
            raise InvalidRequest(message, model=model)
        return response

    async def models(self) -> Sequence[ModelInfo]:
        """The models on the server's disk, with the window that requests to them ask for."""
        found = await self.server.tags()
        gate = asyncio.Semaphore(AT_ONCE)
        infos = [self._info(model, gate) for model in found[:MOST_CARDS]]
        rest = [ModelInfo(id=m.name, description=_description(m)) for m in found[MOST_CARDS:]]
        return [*await asyncio.gather(*infos), *rest]

    async def context_window(self, model: str) -> int | None:
        """Tokens of prompt and answer together, as requests ask for; None if nobody knows."""
        name = model or self.settings.model
        try:
            return await self.server.num_ctx(name) if name else None
        except ProviderError as error:
            if self._server is not None:  # the request that follows says what is wrong
                self._server.put_off(name, error)
            return None

    @classmethod
    def suggestion(cls) -> Suggestion | None:
        """Where the program `ollama` is installed; which models there are only its server knows."""
        if shutil.which("ollama") is None:
            return None
        return Suggestion(
            rank=30, comment="`dovetail ollama list` names its models: ollama/MODEL in [chat]"
        )

    async def _info(self, model: LocalModel, gate: asyncio.Semaphore) -> ModelInfo:
        async with gate:
            try:
                card = await self.server.card(model.name)
            except ProviderError:
                return ModelInfo(id=model.name, description=_description(model))
        return ModelInfo(
            id=model.name,
            kind="embedding" if card.embeds else "chat",
            context_window=self.settings.num_ctx or card.num_ctx,
            description=_description(model),
        )


async def _finish(pieces: AsyncGenerator[bytes]) -> None:
    """Read what follows a complete answer, which is nothing but the end of the connection's turn.

    A server that leaves it open costs the connection, not the answer.
    """
    try:
        async with asyncio.timeout(LINGER):
            async for _ in pieces:
                pass
    except (TimeoutError, ProviderError):
        return


def _named(model: str, key: str) -> str:
    if not model:
        message = (
            f"no model was named: say which, as in `ollama/llama3.2`, or set `{key}` in this "
            "instance's table (`dovetail ollama list` names them)"
        )
        raise ModelNotFound(message)
    return model


def _description(model: LocalModel) -> str:
    details = model.details
    if details is None:
        return ""
    parts = (details.family, details.parameter_size, details.quantization_level)
    return " ".join(part for part in parts if part)
