"""What an `EmbeddingProvider` promises."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, ClassVar, cast

from dovetail.chat.requests import EmbeddingRequest
from dovetail.chat.responses import EmbeddingResponse
from dovetail.context import ExecutionContext
from dovetail.errors import InvalidRequest, ModelNotFound
from dovetail.testing.chat import NO_SUCH_MODEL
from dovetail.testing.component import ComponentContract
from dovetail.testing.subject import INSTANCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.chat.providers import EmbeddingProvider
    from dovetail.kernel import Kernel
    from dovetail.testing.subject import Subject

TEXTS = (
    "A dovetail joins two boards without glue.",
    "Der Frühling kommt spät in diesem Jahr. 🌱",
    "SELECT name FROM users WHERE age > 30;",
)
SAME = 0.999
"""A cosine above which two vectors count as the same: batches change the last digits."""


class EmbeddingProviderContract(ComponentContract):
    """Subclass it, and give a fixture `subject` that returns a `Subject`."""

    hook = "providers"
    many: ClassVar[int] = 100
    """How many texts one request must be able to hold."""

    def open(self, subject: Subject) -> Kernel:
        """A kernel whose only provider is the subject."""
        model = f"{INSTANCE}/{subject.model}" if subject.model else INSTANCE
        return subject.open(
            {"chat": {"embedding_model": model}, "providers": {INSTANCE: subject.table}}
        )

    def find(self, kernel: Kernel) -> EmbeddingProvider:
        """The running provider."""
        return cast("EmbeddingProvider", kernel.generation.providers[INSTANCE])

    async def use(self, kernel: Kernel) -> None:
        """Embed one text."""
        await kernel.embed(TEXTS[0])

    async def test_each_text_gets_a_vector(self, kernel: Kernel) -> None:
        """One vector of finite numbers, not all zero, for each text; all of one length.

        Mend: answer for the whole `request.input`, and check what the model returns.
        """
        vectors = await self._embed(kernel, TEXTS)
        assert len(vectors) == len(TEXTS), f"{len(vectors)} vectors for {len(TEXTS)} texts"
        lengths = {len(vector) for vector in vectors}
        assert len(lengths) == 1, f"vectors of different lengths: {sorted(lengths)}"
        for vector in vectors:
            assert all(math.isfinite(n) for n in vector), "a vector holds nan or infinity"
            assert any(vector), "a vector holds nothing but zeros"

    async def test_vectors_come_in_the_order_of_the_texts(self, kernel: Kernel) -> None:
        """Each vector is that of its own text, as if it were embedded alone.

        Mend: sort by the `index` the other side gives; do not rely on the order of completion.
        """
        together = await self._embed(kernel, TEXTS)
        for text, vector in zip(TEXTS, together, strict=True):
            alone = (await self._embed(kernel, (text,)))[0]
            assert _cosine(alone, vector) > SAME, f"another vector than alone: {text!r}"
        assert _cosine(together[0], together[1]) < SAME, "different texts have the same vector"

    async def test_the_same_text_gets_the_same_vector(self, kernel: Kernel) -> None:
        """Twice in one request, or later again: a vector store compares old with new.

        Mend: no sampling and no state between calls.
        """
        first = await self._embed(kernel, (TEXTS[0], TEXTS[0]))
        later = await self._embed(kernel, (TEXTS[0],))
        assert _cosine(first[0], first[1]) > SAME, "one text twice in a request: two vectors"
        assert _cosine(first[0], later[0]) > SAME, "a text embedded again: another vector"

    async def test_many_texts_at_once(self, kernel: Kernel) -> None:
        """A request may hold `many` texts.

        Mend: split the request into batches of what the other side takes.
        """
        texts = [f"text number {i}" for i in range(self.many)]
        vectors = await self._embed(kernel, texts)
        assert len(vectors) == self.many, f"{len(vectors)} vectors for {self.many} texts"

    async def test_an_empty_text_is_embedded_or_refused(self, kernel: Kernel) -> None:
        """An empty text gets a vector, or the request is an `InvalidRequest`.

        Mend: raise `dovetail.InvalidRequest` naming the text's place.
        """
        try:
            vectors = await self._embed(kernel, ("", TEXTS[0]))
        except InvalidRequest:
            return
        assert len({len(vector) for vector in vectors}) == 1, "the vector has another length"

    async def test_dimensions_are_kept_or_refused(self, kernel: Kernel) -> None:
        """`request.dimensions` gives vectors of that length, or the request is refused.

        Mend: pass it on, or raise `dovetail.InvalidRequest`: a vector store relies on it.
        """
        length = len((await self._embed(kernel, TEXTS[:1]))[0])
        wanted = max(1, length // 2)
        request = EmbeddingRequest(input=TEXTS[:1], model=self._model(kernel), dimensions=wanted)
        try:
            response = await self.find(kernel).embed(request, ExecutionContext())
        except InvalidRequest:
            return
        got = len(response.embeddings[0])
        assert got == wanted, f"asked for {wanted} dimensions, got {got}"

    async def test_requests_at_once_do_not_mix(self, kernel: Kernel) -> None:
        """Requests at the same time get each their own vectors.

        Mend: keep what belongs to one request in local variables, not on `self`.
        """
        alone = [(await self._embed(kernel, (text,)))[0] for text in TEXTS]
        together = await asyncio.gather(*(self._embed(kernel, (text,)) for text in TEXTS))
        for text, before, (now, *_) in zip(TEXTS, alone, together, strict=True):
            assert _cosine(before, now) > SAME, f"another vector than alone: {text!r}"

    async def test_an_unknown_model_is_not_found_or_answered(self, kernel: Kernel) -> None:
        """A model it does not have is a `ModelNotFound`; a provider of one model may answer.

        Mend: raise `dovetail.ModelNotFound` where the other side says there is no such model.
        """
        request = EmbeddingRequest(input=TEXTS[:1], model=NO_SUCH_MODEL)
        try:
            await self.find(kernel).embed(request, ExecutionContext())
        except ModelNotFound:
            pass
        except Exception as error:  # whatever else comes out is the finding
            raise AssertionError(f"an unknown model raised {error!r}, no ModelNotFound") from error

    async def test_its_answer_survives_json(self, kernel: Kernel) -> None:
        """An answer written as JSON and read back is the same.

        Mend: plain floats in the vectors, and only JSON values in `extras` and `metadata`.
        """
        async with self.in_time("no vectors came"):
            response = await kernel.embed(TEXTS)
        again = EmbeddingResponse.model_validate_json(response.model_dump_json())
        assert again == response, "the answer changes on its way through JSON"

    async def test_tokens_are_counted_in_any_thread(self, kernel: Kernel) -> None:
        """What `token_counter` gives counts in another thread: whole numbers, more for more text.

        Mend: give a plain function that shares nothing which changes, or None.
        """
        async with self.in_time("no counter came"):
            count = await self.find(kernel).token_counter(self._model(kernel))
        if count is None:
            return
        text = TEXTS[0]
        once, tenfold, none = await asyncio.to_thread(
            lambda: [count(text), count(text * 10), count("")]
        )
        assert [type(once), type(tenfold), type(none)] == [int] * 3, "a count is no whole number"
        assert tenfold > once > none >= 0, (
            f"{once} tokens once, {tenfold} ten times, {none} for none"
        )

    def _model(self, kernel: Kernel) -> str:
        return kernel.generation.chat.embedding_model.partition("/")[2]

    async def _embed(self, kernel: Kernel, texts: Sequence[str]) -> Sequence[tuple[float, ...]]:
        """What the provider itself gives, without the kernel around it."""
        request = EmbeddingRequest(input=tuple(texts), model=self._model(kernel))
        async with self.in_time("no vectors came"):
            response = await self.find(kernel).embed(request, ExecutionContext())
        return response.embeddings


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    if len(one) != len(other):
        return -1.0
    product = sum(a * b for a, b in zip(one, other, strict=True))
    lengths = math.hypot(*one) * math.hypot(*other)
    return product / lengths if lengths else -1.0
