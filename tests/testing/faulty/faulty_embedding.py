"""Embedding providers that each break one promise; `breaks` names the tests that must notice."""
# mypy: ignore-errors
# They are wrong on purpose.

import asyncio

import pytest
from breaks import Breaks

from dovetail import EmbeddingResponse, InvalidRequest
from dovetail.testing import EmbeddingProviderContract, FakeModel, Subject, plugin_of


class Ragged(FakeModel):
    async def embed(self, request, context):
        vectors = (await super().embed(request, context)).embeddings
        short = tuple(v if i == 0 else v[:-1] for i, v in enumerate(vectors))
        return EmbeddingResponse(embeddings=short)


class Shuffling(FakeModel):
    async def embed(self, request, context):
        vectors = (await super().embed(request, context)).embeddings
        return EmbeddingResponse(embeddings=vectors[::-1])


class Moody(FakeModel):
    async def embed(self, request, context):
        length = request.dimensions or 8
        self.mood = getattr(self, "mood", 0) + 1
        one = [
            tuple(float((self.mood + n) % length == i) for i in range(length))
            for n in range(len(request.input))
        ]
        return EmbeddingResponse(embeddings=tuple(one))


class FewOnly(FakeModel):
    async def embed(self, request, context):
        if len(request.input) > 64:
            raise InvalidRequest("too many texts")
        return await super().embed(request, context)


class NoEmptyText(FakeModel):
    async def embed(self, request, context):
        for text in request.input:
            _ = text.split()[0]
        return await super().embed(request, context)


class FixedLength(FakeModel):
    async def embed(self, request, context):
        return await super().embed(request.model_copy(update={"dimensions": None}), context)


class Mixing(FakeModel):
    async def embed(self, request, context):
        self.request = request
        await asyncio.sleep(0.01)
        return await super().embed(self.request, context)


class BadName(FakeModel):
    async def embed(self, request, context):
        if request.model:
            raise KeyError(request.model)
        return await super().embed(request, context)


class NotJson(FakeModel):
    async def embed(self, request, context):
        response = await super().embed(request, context)
        return response.model_copy(update={"extras": {"tags": {1, 2}}})


class SameForAll(FakeModel):
    async def token_counter(self, model=""):
        return lambda _text: 7


class _Contract(Breaks, EmbeddingProviderContract):
    faulty: type[FakeModel] = FakeModel

    @pytest.fixture
    def subject(self):
        return Subject(plugin_of(self.faulty))


class TestRagged(_Contract):
    faulty = Ragged
    breaks = (
        "test_each_text_gets_a_vector",
        "test_an_empty_text_is_embedded_or_refused",
        "test_vectors_come_in_the_order_of_the_texts",
        "test_the_same_text_gets_the_same_vector",
    )


class TestShuffling(_Contract):
    faulty = Shuffling
    breaks = ("test_vectors_come_in_the_order_of_the_texts",)


class TestMoody(_Contract):
    faulty = Moody
    breaks = (
        "test_the_same_text_gets_the_same_vector",
        "test_vectors_come_in_the_order_of_the_texts",
        "test_requests_at_once_do_not_mix",
    )


class TestFewOnly(_Contract):
    faulty = FewOnly
    breaks = ("test_many_texts_at_once",)


class TestNoEmptyText(_Contract):
    faulty = NoEmptyText
    breaks = ("test_an_empty_text_is_embedded_or_refused",)


class TestFixedLength(_Contract):
    faulty = FixedLength
    breaks = ("test_dimensions_are_kept_or_refused",)


class TestMixing(_Contract):
    faulty = Mixing
    breaks = ("test_requests_at_once_do_not_mix",)


class TestBadName(_Contract):
    faulty = BadName
    breaks = ("test_an_unknown_model_is_not_found_or_answered",)


class TestSameForAll(_Contract):
    faulty = SameForAll
    breaks = ("test_tokens_are_counted_in_any_thread",)


class TestNotJson(_Contract):
    faulty = NotJson
    breaks = ("test_its_answer_survives_json",)
