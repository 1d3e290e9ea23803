"""The provider: texts in, vectors out, off the event loop where that pays."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, ParamSpec, TypeVar

from dovetail import (
    EmbeddingProvider,
    EmbeddingRequest,
    EmbeddingResponse,
    ExecutionContext,
    InvalidRequest,
    ModelInfo,
    ModelNotFound,
    NotReady,
    ProviderUnavailable,
    Suggestion,
    Usage,
)
from dovetail_wordllama.pieces import batches
from dovetail_wordllama.settings import DIMENSIONS, WordLlamaSettings

if TYPE_CHECKING:
    from dovetail_wordllama.weights import Pool, Weights

P = ParamSpec("P")
T = TypeVar("T")

MODEL = "l2_supercat"
_PACKAGE = "wordllama"
_FEW_TEXTS, _FEW_CHARACTERS = 8, 2_000
"""What is done at once on the event loop: at most half a millisecond, where handing it to a thread
and back costs a tenth."""


class WordLlama(EmbeddingProvider):
    """Embeds texts inside the process, with the weights in the package `wordllama`.

    A text's vector is the mean of its tokens' vectors: no network, no key, no server, thousands of
    texts a second, and no limit to a text's length.
    """

    name: ClassVar[str] = "wordllama"
    settings: WordLlamaSettings

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self._weights: Weights | None = None

    async def start(self) -> None:
        """Load the weights, on a thread.

        Raises:
            NotReady: the package is not installed, or a file of it is missing or damaged.
        """
        self._threads = ThreadPoolExecutor(self.settings.threads, f"dovetail-{_PACKAGE}")
        self._weights = await self._run(_load)

    async def stop(self) -> None:
        """Let what runs end its batch, and free the weights."""
        threads, self._threads, self._weights = self._threads, None, None
        if threads is not None:
            await asyncio.to_thread(threads.shutdown)

    async def embed(
        self, request: EmbeddingRequest, context: ExecutionContext
    ) -> EmbeddingResponse:
        """One vector for each text, with the number of tokens in `usage`.

        Cancelled, it stops after the batch that is being worked on.

        Raises:
            ModelNotFound: another model than the package's.
            InvalidRequest: other `dimensions` than 64, 128 or 256; an empty text, or one that holds
                half of a surrogate pair.
            ProviderUnavailable: the provider was stopped.
        """
        self._check(request)
        texts = request.input
        pool = self._pool(len(texts))
        few = len(texts) <= _FEW_TEXTS and sum(map(len, texts)) <= _FEW_CHARACTERS
        run = self._now if few else self._run
        for batch in batches(texts, self.settings.batch_size):
            await run(pool.add, batch)
        vectors = await run(
            pool.vectors,
            request.dimensions or self.settings.dimensions,
            normalize=self.settings.normalize,
        )
        # Not validated: ten thousand vectors would hold up the event loop for a tenth of a second.
        return EmbeddingResponse.model_construct(
            embeddings=vectors,
            model=MODEL,
            usage=Usage(prompt_tokens=pool.tokens, total_tokens=pool.tokens),
        )

    async def token_counter(self, model: str = "") -> Callable[[str], int] | None:
        """The package's own tokenizer; None for another model, or while there are no weights."""
        return self._weights.count if self._weights and model in ("", MODEL) else None

    async def models(self) -> Sequence[ModelInfo]:
        """The one model of the package."""
        widths = ", ".join(map(str, DIMENSIONS))
        return [ModelInfo(id=MODEL, kind="embedding", description=f"{widths} dimensions, offline")]

    @classmethod
    def suggestion(cls) -> Suggestion | None:
        """The package's model, where it is installed; it is only looked for, not imported."""
        if _folder() is None:
            return None
        return Suggestion(model=MODEL, rank=20, comment="embeds inside the process, offline")

    def _check(self, request: EmbeddingRequest) -> None:
        if request.model not in ("", MODEL):
            near = f"{self.instance}/{MODEL}" if self.instance else MODEL
            message = f"there is no model `{request.model}`: the package has `{MODEL}` alone"
            raise ModelNotFound(message, model=request.model, nearest=[near])
        if request.dimensions not in (None, *DIMENSIONS):
            message = (
                f"`{MODEL}` gives vectors of {', '.join(map(str, DIMENSIONS))} dimensions, not of "
                f"{request.dimensions}"
            )
            raise InvalidRequest(message, model=MODEL)
        for number, text in enumerate(request.input, 1):
            if not text:
                message = f"text {number} is empty, which has no vector: leave it out"
                raise InvalidRequest(message, model=MODEL)

    def _pool(self, texts: int) -> "Pool":
        from dovetail_wordllama.weights import Pool

        if self._weights is None:
            raise _stopped()
        return Pool(self._weights, texts)

    async def _now(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return work(*args, **kwargs)

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._threads is None:
            raise _stopped()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: work(*args, **kwargs))


def _folder() -> Path | None:
    """Where the package is; None if it is not installed. Imports nothing."""
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def _load() -> "Weights":
    folder = _folder()
    if folder is None:
        message = f"the package {_PACKAGE} is not installed: `pip install {_PACKAGE}`"
        raise NotReady(message)
    from dovetail_wordllama.weights import Weights

    return Weights(folder)


def _stopped() -> ProviderUnavailable:
    return ProviderUnavailable("the provider was stopped")
