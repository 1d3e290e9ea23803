"""Making vectors: in batches, so many at once, and a text that the model refuses alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from dovetail import (
    AuthenticationError,
    DependencyResolutionError,
    EmbeddingProvider,
    EmbeddingRequest,
    ExecutionContext,
    InvalidRequest,
    InvalidResponse,
    ModelNotFound,
    Named,
    ProviderError,
    ProviderTimeout,
    RateLimited,
    current_context,
)
from dovetail_vectorstore.errors import ItemRefused, VectorStoreError
from dovetail_vectorstore.preparing import unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail import SmartDependencyContainer
    from dovetail_vectorstore.items import Vector
    from dovetail_vectorstore.settings import VectorStoreSettings
    from dovetail_vectorstore.tokens import TokenCounter


HARMLESS = "text"
"""What a model is asked for to see whether it is at fault, or what it was given."""
HOPELESS = (AuthenticationError, ModelNotFound, ProviderTimeout, RateLimited)
"""What other texts would not make better."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """What a model made of texts."""

    vectors: tuple[Vector | None, ...]
    """One for each text, in order; None where the model refused it."""
    model: str
    """The model, in its provider's words; empty if it refused them all."""
    refusals: tuple[str, ...] = ()
    """Why, for each text; empty where there is a vector."""


class Embedder:
    """Asks the embedding model that the settings name, through the kernel's container.

    So its calls pass the middleware, and retries are made there and nowhere else.
    """

    def __init__(
        self,
        settings: VectorStoreSettings,
        container: SmartDependencyContainer | None,
        provider: EmbeddingProvider | None = None,
    ) -> None:
        """`provider` is asked instead of the one that the container has."""
        self._settings = settings
        self._container = container
        self._provider = provider
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._worked = False
        """Whether it has made a vector yet: then it is a text's fault if it is refused."""

    @property
    def absent(self) -> bool:
        """Whether nobody makes vectors: a store without a kernel, which was given no model.

        Its items are found by their words alone.
        """
        return self._container is None and self._provider is None

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """A vector for each of `texts`, of which there are `batch_size` at most.

        Raises:
            ProviderError: the model cannot be asked now; one text's fault is in `refusals`.
        """
        async with self._slots:
            return await self._embed(texts)

    async def embed_query(self, text: str) -> Embedded:
        """The same for what is searched for, which somebody waits for: nothing else is asked."""
        async with self._slots:
            try:
                return await self._ask([text])
            except ModelNotFound:
                raise
            except InvalidRequest as error:
                return Embedded((None,), "", (str(error),))

    async def token_counter(self) -> TokenCounter | None:
        """What says how many tokens a text has for the model; None if nobody here can."""
        if self.absent:
            return None
        try:
            return await (self._provider or self._resolve()).token_counter()
        except ModelNotFound:
            return None  # who embeds will say so, if anything is to be embedded

    async def _embed(self, texts: Sequence[str]) -> Embedded:
        try:
            return await self._ask(texts)
        except HOPELESS:
            raise
        except ProviderError as error:
            # Perhaps one of them is too long, or has the server stumble: halve them until it is
            # alone. But not if nothing else would do either.
            alone, refused = len(texts) == 1, isinstance(error, InvalidRequest)
            if (alone or not refused) and not await self._works(error):
                raise
            if alone:
                return Embedded((None,), "", (str(error),))
        middle = len(texts) // 2
        one, other = await self._embed(texts[:middle]), await self._embed(texts[middle:])
        return Embedded(
            one.vectors + other.vectors, one.model or other.model, one.refusals + other.refusals
        )

    async def _works(self, error: ProviderError) -> bool:
        """Whether it makes a vector of a text that nobody could refuse, though it raised `error`.

        One that has refused something, and made vectors before, is not asked.
        """
        if isinstance(error, InvalidRequest) and self._worked:
            return True
        try:
            await self._ask([HARMLESS])
        except ProviderError:
            return False
        return True

    async def _ask(self, texts: Sequence[str]) -> Embedded:
        request = EmbeddingRequest(input=tuple(texts), dimensions=self._settings.dimensions)
        limit = self._settings.embed_timeout
        provider = self._provider or self._resolve()
        context = current_context() or ExecutionContext()
        try:
            async with asyncio.timeout(limit):
                response = await provider.embed(request, context)
        except TimeoutError as error:
            message = f"the embedding model did not answer within {limit:g} s (`embed_timeout`)"
            raise ProviderTimeout(message) from error
        model = response.model or str(self._settings.embedding_model or "")
        if len(response.embeddings) != len(texts):
            message = f"it gave {len(response.embeddings)} vectors for {len(texts)} texts"
            raise InvalidResponse(message, model=model)
        self._worked = True
        return _checked(response.embeddings, model)

    def _resolve(self) -> EmbeddingProvider:
        if self._container is None:
            raise ModelNotFound("the vector store has no embedding model to ask")
        wanted = self._settings.embedding_model
        kind = (
            EmbeddingProvider
            if wanted is None
            else Annotated[EmbeddingProvider, Named(str(wanted))]
        )
        try:
            found: EmbeddingProvider = self._container.resolve(kind)
        except DependencyResolutionError as error:
            raise VectorStoreError(
                "the vector store has no embedding model: name one in `embedding_model` of [chat], "
                f"or of [plugins.vectorstore]; {error.original_exception or error}"
            ) from error
        return found


def _checked(given: Sequence[Sequence[float]], model: str) -> Embedded:
    """The vectors that can be compared; of several lengths, those of the one that most have."""
    vectors: list[Vector | None] = []
    refusals: list[str] = []
    for one in given:
        try:
            vectors.append(unit(one))
            refusals.append("")
        except ItemRefused as error:
            vectors.append(None)
            refusals.append(str(error))
    sizes = Counter(len(vector) for vector in vectors if vector is not None)
    usual = max(sizes, key=lambda size: sizes[size], default=0)
    for place, vector in enumerate(vectors):
        if vector is not None and len(vector) != usual:
            vectors[place] = None
            refusals[place] = f"its vector has {len(vector)} numbers, and others have {usual}"
    return Embedded(tuple(vectors), model, tuple(refusals))
