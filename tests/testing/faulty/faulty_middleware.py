"""Middleware that each breaks one promise; `breaks` names the tests that must notice."""
# mypy: ignore-errors
# They are wrong on purpose.

import asyncio
from dataclasses import replace

import pytest
from breaks import Breaks

from dovetail import Answer, Middleware, ProviderError, RateLimited
from dovetail.testing import MiddlewareContract, Subject, plugin_of


class HarmsWholeAnswers(Middleware):
    async def after_chat(self, call, response):
        return None if call.stream else response.model_copy(update={"usage": None})


class HarmsStreams(Middleware):
    async def chat(self, call, call_next):
        answer = await call_next(call)
        if call.stream:
            answer.each(lambda chunk: replace(chunk, reasoning=""))
        return answer


class Inconsistent(Middleware):
    async def after_chat(self, call, response):
        shouted = response.message.model_copy(update={"content": response.text.upper()})
        return None if call.stream else response.model_copy(update={"message": shouted})


class Buffering(Middleware):
    async def chat(self, call, call_next):
        return Answer.of(await (await call_next(call)).read())


class Soothing(Middleware):
    async def chat(self, call, call_next):
        try:
            return await call_next(call)
        except RateLimited:
            return Answer.of("Everything is fine.")


class Hushing(Middleware):
    async def chat(self, call, call_next):
        answer = await call_next(call)
        return await Answer.begin(self.hush(answer), provider=answer.provider)

    async def hush(self, answer):
        try:
            async for chunk in answer.chunks():
                yield chunk
        except ProviderError:
            return


class Shielding(Middleware):
    async def chat(self, call, call_next):
        self.task = asyncio.create_task(call_next(call))
        return await asyncio.shield(self.task)


class Impatient(Middleware):
    """Leaves the answer that it reads before its end."""

    def __init__(self):
        self.left = []

    async def chat(self, call, call_next):
        answer = await call_next(call)
        return await Answer.begin(self.some(answer), provider=answer.provider)

    async def some(self, answer):
        chunks = answer.chunks()
        self.left.append(chunks)
        async for chunk in chunks:
            yield chunk
            if chunk.finish_reason is not None:
                return


class Rounding(Middleware):
    async def after_embed(self, call, response):
        rounded = tuple(tuple(round(n, 1) for n in v) for v in response.embeddings)
        return response.model_copy(update={"embeddings": rounded})


class Mixing(Middleware):
    async def chat(self, call, call_next):
        self.call = call
        await asyncio.sleep(0.01)
        return await call_next(self.call)


class _Contract(Breaks, MiddlewareContract):
    faulty: type[Middleware] = Middleware

    @pytest.fixture
    def subject(self):
        return Subject(plugin_of(self.faulty))


class TestHarmsWholeAnswers(_Contract):
    faulty = HarmsWholeAnswers
    breaks = ("test_a_whole_answer_passes_unharmed", "test_both_ways_say_the_same")


class TestHarmsStreams(_Contract):
    faulty = HarmsStreams
    breaks = ("test_a_stream_passes_unharmed", "test_both_ways_say_the_same")


class TestInconsistent(_Contract):
    faulty = Inconsistent
    changes_answers = True
    breaks = ("test_both_ways_say_the_same",)


class TestBuffering(_Contract):
    faulty = Buffering
    patience = 1.0
    breaks = ("test_a_stream_is_not_held_back",)


class TestSoothing(_Contract):
    faulty = Soothing
    breaks = ("test_an_error_passes",)


class TestHushing(_Contract):
    faulty = Hushing
    breaks = ("test_an_error_in_the_middle_passes", "test_each_answer_ends_once")


class TestShielding(_Contract):
    faulty = Shielding
    breaks = ("test_a_cancel_passes",)


class TestImpatient(_Contract):
    faulty = Impatient
    breaks = ("test_each_answer_ends_once",)


class TestRounding(_Contract):
    faulty = Rounding
    breaks = ("test_embeddings_pass",)


class TestMixing(_Contract):
    faulty = Mixing
    breaks = ("test_requests_at_once_do_not_mix",)
