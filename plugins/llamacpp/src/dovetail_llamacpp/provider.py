"""The provider: requests in, chunks and vectors out, models in memory meanwhile."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import ClassVar

from dovetail import (
    ChatProvider,
    ChatRequest,
    EmbeddingProvider,
    EmbeddingRequest,
    EmbeddingResponse,
    ExecutionContext,
    InvalidRequest,
    ModelInfo,
    NotReady,
    ProviderError,
    ProviderUnavailable,
    StreamingChunk,
    Suggestion,
    Usage,
)
from dovetail_llamacpp.catalogue import BUNDLED, Catalogue, Entry
from dovetail_llamacpp.engine import Engine
from dovetail_llamacpp.gguf import Header
from dovetail_llamacpp.options import Options
from dovetail_llamacpp.settings import LlamaCppSettings
from dovetail_llamacpp.wire import body_of, chunk_of


class LlamaCpp(ChatProvider, EmbeddingProvider):
    """Runs GGUF models inside the process, by llama.cpp.

    A model is loaded when the first request needs it, off the event loop, and once for all who
    wait. For embeddings the same file is loaded a second time: llama.cpp wants it prepared.
    """

    name: ClassVar[str] = "llamacpp"
    settings: LlamaCppSettings

    def __init__(self) -> None:
        self._engines: dict[tuple[str, bool], Engine] = {}
        self._freeing: set[asyncio.Task[None]] = set()
        self._stopped = False

    async def start(self) -> None:
        """Look up the models and read their files' headers; loads none.

        Raises:
            NotReady: a configured file is missing or no whole GGUF file, or there is no model.
        """
        self._catalogue = Catalogue(self.settings)
        try:
            self._catalogue.check()
            for entry in self._catalogue.entries.values():
                await self._header(entry)
        except InvalidRequest as error:
            raise NotReady(str(error)) from error

    async def stop(self) -> None:
        """End what still runs and free all models."""
        self._stopped = True
        engines = list(self._engines.values())
        self._engines = {}
        await asyncio.gather(*(engine.close() for engine in engines), *self._freeing)

    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncGenerator[StreamingChunk]:
        """Generate the answer. The last chunk has the usage, and `timings` in its `extras`.

        Raises:
            ModelNotFound: no such model; the nearest names and how to install it.
            ContextTooLong: the prompt does not fit; with both numbers.
            InvalidRequest: llama.cpp refuses the file or the request.
            ProviderUnavailable: too many wait already, or the provider is stopping.
        """
        body = body_of(request)
        with self._using(request.model) as engine:
            async with aclosing(engine.generate(body)) as chunks:
                async for raw in chunks:
                    chunk = chunk_of(raw, engine.options.name)
                    if chunk is not None:
                        yield chunk

    async def embed(
        self, request: EmbeddingRequest, context: ExecutionContext
    ) -> EmbeddingResponse:
        """One vector of length 1 for each text, as long as the model is wide.

        Raises:
            ModelNotFound: no such model.
            ContextTooLong: a text does not fit; with both numbers.
            InvalidRequest: other `dimensions` than the model has, an empty text, a refused file.
        """
        with self._using(request.model, embedding=True) as engine:
            vectors, tokens = await engine.embed(request.input)
            width = len(vectors[0])
            if request.dimensions not in (None, width):
                message = (
                    f"`{engine.options.name}` gives vectors of {width} dimensions, not of "
                    f"{request.dimensions}"
                )
                raise InvalidRequest(message)
            return EmbeddingResponse(
                embeddings=tuple(tuple(vector) for vector in vectors),
                model=engine.options.name,
                usage=Usage(prompt_tokens=tokens, total_tokens=tokens),
            )

    async def models(self) -> Sequence[ModelInfo]:
        """The models that settings name, and the bundled ones that are installed."""
        return [await self._info(entry) for entry in self._catalogue.entries.values()]

    async def count_tokens(self, request: ChatRequest) -> int | None:
        """Tokens of the whole prompt, with what the model's chat template adds; loads the model."""
        with self._using(request.model) as engine:
            return await engine.count(body_of(request))

    async def context_window(self, model: str) -> int | None:
        """Tokens that prompt and answer may take together; reads the file's header only."""
        with self._using(model) as engine:
            return await engine.context()

    @classmethod
    def suggestion(cls) -> Suggestion | None:
        """The bundled model, where it is installed; it is only looked for, not imported."""
        for name, bundled in BUNDLED.items():
            if bundled.path() is not None:
                return Suggestion(model=name, rank=20, comment="runs inside the process")
        return None

    @contextmanager
    def _using(self, model: str, *, embedding: bool = False) -> Iterator[Engine]:
        """The engine of a model, which is not freed meanwhile."""
        entry = self._catalogue.find(model, embedding=embedding, instance=self.instance)
        engine = self._engine(entry, embedding=embedding)
        engine.users += 1
        try:
            yield engine
        finally:
            engine.users -= 1
            self._free_unused()

    def _engine(self, entry: Entry, *, embedding: bool) -> Engine:
        if self._stopped:
            raise ProviderUnavailable("the provider was stopped")
        key = (str(entry.path), embedding)
        engine = self._engines.pop(key, None)
        if engine is None:
            entry.check()
            engine = Engine(self._options(entry, embedding=embedding))
        self._engines[key] = engine  # at the end: the first is the one unused for longest
        return engine

    def _options(self, entry: Entry, *, embedding: bool) -> Options:
        settings = self.settings
        return Options(
            path=entry.path,
            name=entry.name,
            embedding=embedding,
            context=settings.context,
            # Texts that share a step get wrong vectors (those of their last words only) or end the
            # process, by the number of slots: llama.cpp pools within a step.
            slots=1 if embedding else settings.slots,
            threads=settings.threads,
            batch=settings.batch,
            gpu_layers=settings.gpu_layers,
            pooling=settings.pooling,
            verbosity=settings.verbosity,
            waiting=settings.waiting,
        )

    def _free_unused(self) -> None:
        for key, engine in list(self._engines.items()):
            if len(self._engines) <= self.settings.keep:
                return
            if not engine.users:
                del self._engines[key]
                task = asyncio.create_task(engine.close())
                self._freeing.add(task)
                task.add_done_callback(self._freeing.discard)

    async def _info(self, entry: Entry) -> ModelInfo:
        try:
            header = await self._header(entry)
        except ProviderError as error:
            return ModelInfo(id=entry.name, description=str(error))
        return ModelInfo(
            id=entry.name,
            kind="chat" if header.pooling is None else "embedding",
            context_window=self._options(entry, embedding=False).tokens(header),
            description=_description(header),
        )

    async def _header(self, entry: Entry) -> Header:
        """What the file of a model says of itself, read off the loop."""
        engine = self._engines.get((str(entry.path), False)) or Engine(
            self._options(entry, embedding=False)
        )
        try:
            return await engine.header()
        finally:
            if engine not in self._engines.values():
                await engine.close()


def _description(header: Header) -> str:
    model = f"{header.title} ({header.architecture})" if header.title else header.architecture
    return model if header.pooling is not None else f"{model}, also embeds"
