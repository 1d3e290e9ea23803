"""Providers that each break one promise; `breaks` names the tests that must notice.

Run by `test_contracts_notice.py` in a process of its own.
"""
# mypy: ignore-errors
# They are wrong on purpose.

import asyncio
import datetime as dt
import importlib
import os
import time
from contextvars import ContextVar

import pytest
from breaks import Breaks
from pydantic import AliasChoices, ConfigDict, Field

from dovetail import (
    ChatMessage,
    ChatProvider,
    ChatResponse,
    FinishReason,
    ModelInfo,
    ProviderUnavailable,
    Settings,
    StreamingChunk,
    Usage,
    hookimpl,
)
from dovetail.testing import ChatProviderContract, Subject, plugin_of

ambient: ContextVar[str] = ContextVar("ambient", default="")


class Good(ChatProvider):
    """Says eight words, slowly enough to be interrupted."""

    async def send_message_stream(self, request, context):
        for chunk in self.chunks(request):
            await asyncio.sleep(0.0005)
            yield chunk

    def chunks(self, request):
        said = request.messages[-1].text
        yield from (StreamingChunk(text=f"{said}-{n} ") for n in range(8))
        yield StreamingChunk(
            finish_reason=FinishReason.STOP,
            usage=Usage(prompt_tokens=5, completion_tokens=8, total_tokens=13),
        )


class Failing(Good):
    def chunks(self, request):
        yield StreamingChunk(text="hello", finish_reason=FinishReason.ERROR)


class TwoTongued(Good):
    async def send_message(self, request, context):
        message = ChatMessage.assistant("something else")
        return ChatResponse(message=message, usage=Usage(prompt_tokens=5, completion_tokens=2))


class Repetitive(Good):
    def chunks(self, request):
        yield StreamingChunk(text="hello", finish_reason=FinishReason.STOP)
        yield StreamingChunk(text="", finish_reason=FinishReason.STOP)


class Miscounting(Good):
    def chunks(self, request):
        usage = Usage(prompt_tokens=5, completion_tokens=40, total_tokens=41)
        yield StreamingChunk(text="hello", usage=usage)


class NeedsAModel(Good):
    def chunks(self, request):
        _ = {"m": 1}[request.model] if not request.model else None
        yield from super().chunks(request)


class BadName(Good):
    def chunks(self, request):
        if "no-such" in request.model:
            raise ProviderUnavailable("model missing")
        yield from super().chunks(request)


class TextOnly(Good):
    def chunks(self, request):
        request.messages[-1].content.split()
        yield from super().chunks(request)


class SlowToClose(Good):
    async def send_message_stream(self, request, context):
        for chunk in self.chunks(request):
            await asyncio.sleep(0.0005)
            try:
                yield chunk
            except GeneratorExit:
                await asyncio.sleep(2)
                raise


class Stubborn(Good):
    """Goes on for a while when it is cancelled; once, to save the contract's time."""

    stubborn = True

    async def send_message_stream(self, request, context):
        for chunk in self.chunks(request):
            try:
                await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                if self.stubborn:
                    self.stubborn = False
                    await asyncio.to_thread(time.sleep, 1.5)
                raise
            yield chunk


class LeavesTasks(Good):
    def __init__(self):
        self.tasks = []

    async def send_message_stream(self, request, context):
        self.tasks.append(asyncio.create_task(asyncio.sleep(3600)))
        async for chunk in super().send_message_stream(request, context):
            yield chunk

    async def stop(self):
        for task in self.tasks:
            task.cancel()


class LeavesFiles(Good):
    def __init__(self):
        self.files = []

    async def send_message_stream(self, request, context):
        self.files.extend(os.pipe())
        async for chunk in super().send_message_stream(request, context):
            yield chunk

    async def stop(self):
        while self.files:
            os.close(self.files.pop())


class Mixing(Good):
    async def send_message_stream(self, request, context):
        self.request = request
        await asyncio.sleep(0.01)
        for chunk in self.chunks(self.request):
            yield chunk


class Ambient(Good):
    def chunks(self, request):
        ambient.set("left here")
        yield from super().chunks(request)


class NotJson(Good):
    def chunks(self, request):
        now = dt.datetime.now(dt.UTC)
        yield StreamingChunk(text="hello", extras={"when": now})


class Prefixing(Good):
    async def models(self):
        return [ModelInfo(id="subject/small")]


class Uncountable(Good):
    async def count_tokens(self, request):
        return 7


class Undescribed(Settings):
    base_url: str = "http://127.0.0.1"


class NoDescription(Good):
    settings: Undescribed


class PlainKey(Settings):
    api_key: str = Field(default="", description="The key.")


class ShowsItsKey(Good):
    settings: PlainKey


class Anything(Settings):
    model_config = ConfigDict(extra="allow")


class TakesAnything(Good):
    settings: Anything


class Taken(Settings):
    times: int = Field(
        default=1,
        validation_alias=AliasChoices("times", "optional"),
        description="How often.",
    )


class TakesOurWords(Good):
    settings: Taken


class StopsOnceAtMost(Good):
    async def start(self):
        self.client = object()

    async def stop(self):
        del self.client


class LeavesAWorker(Good):
    async def start(self):
        self.worker = asyncio.create_task(asyncio.sleep(3600))


class ReturnsInstances:
    @staticmethod
    @hookimpl
    def providers():
        return [Good()]


class _Contract(Breaks, ChatProviderContract):
    faulty: object = None
    options: dict[str, object] = {}

    @pytest.fixture
    def subject(self):
        faulty = self.faulty
        plugin = plugin_of(faulty) if isinstance(faulty, type) else faulty
        return Subject(plugin, **self.options)


class TestGood(_Contract):
    faulty = Good


class TestFailing(_Contract):
    faulty = Failing
    breaks = ("test_it_answers",)


class TestTwoTongued(_Contract):
    faulty = TwoTongued
    breaks = ("test_a_stream_says_what_the_whole_answer_says",)


class TestRepetitive(_Contract):
    faulty = Repetitive
    breaks = ("test_the_finish_reason_comes_once_and_last",)


class TestMiscounting(_Contract):
    faulty = Miscounting
    breaks = ("test_usage_adds_up",)


class TestNeedsAModel(_Contract):
    faulty = NeedsAModel
    options = {"model": "m"}
    breaks = ("test_no_model_means_its_default",)


class TestBadName(_Contract):
    faulty = BadName
    breaks = ("test_an_unknown_model_is_not_found_or_answered",)


class TestTextOnly(_Contract):
    faulty = TextOnly
    breaks = ("test_what_it_cannot_do_is_a_provider_error",)


class TestSlowToClose(_Contract):
    faulty = SlowToClose
    stops_within = 0.6
    breaks = ("test_closing_its_generator_stops_it",)


class TestStubborn(_Contract):
    faulty = Stubborn
    stops_within = 0.6
    breaks = ("test_cancelling_stops_its_answer",)


class TestLeavesTasks(_Contract):
    faulty = LeavesTasks
    breaks = ("test_streams_left_early_leave_nothing_behind",)


class TestLeavesFiles(_Contract):
    faulty = LeavesFiles
    breaks = ("test_streams_left_early_leave_nothing_behind",)


class TestMixing(_Contract):
    faulty = Mixing
    breaks = ("test_two_answers_at_once_do_not_mix",)


class TestAmbient(_Contract):
    faulty = Ambient
    breaks = ("test_it_leaves_no_context_variable_set",)


class TestNotJson(_Contract):
    faulty = NotJson
    breaks = ("test_its_answer_survives_json",)
    refused = True  # by the kernel too, with every answer


class TestPrefixing(_Contract):
    faulty = Prefixing
    breaks = ("test_it_lists_its_models_or_none",)


class TestUncountable(_Contract):
    faulty = Uncountable
    breaks = ("test_it_counts_tokens_or_says_it_cannot",)


class TestReturnsInstances(_Contract):
    faulty = ReturnsInstances()
    refused = True
    breaks = ("test_its_hooks_return_classes",)


class TestNoDescription(_Contract):
    faulty = NoDescription
    breaks = ("test_every_setting_is_described",)


class TestShowsItsKey(_Contract):
    faulty = ShowsItsKey
    breaks = ("test_secrets_are_secret",)


class TestTakesAnything(_Contract):
    faulty = TakesAnything
    breaks = ("test_an_unknown_setting_is_refused",)


class TestTakesOurWords(_Contract):
    faulty = TakesOurWords
    refused = True
    breaks = ("test_the_hosts_own_words_are_left_alone",)


class TestStopsOnceAtMost(_Contract):
    faulty = StopsOnceAtMost
    breaks = ("test_stopping_is_always_safe",)


class TestLeavesAWorker(_Contract):
    faulty = LeavesAWorker
    breaks = ("test_closing_leaves_nothing_behind",)


class TestHeavy(_Contract):
    faulty = importlib.import_module("heavy_plugin")
    breaks = ("test_importing_it_drags_nothing_in",)


class TestHeavyAndDeclared(_Contract):
    faulty = importlib.import_module("heavy_plugin")
    may_import = ("bulky_library",)


class TestSlowToImport(_Contract):
    faulty = importlib.import_module("slow_plugin")
    breaks = ("test_importing_it_is_quick",)


class TestShouting(_Contract):
    faulty = "SHOUTING"
    breaks = ("test_its_entry_point_is_right",)


class TestTwins(_Contract):
    faulty = "twin"
    refused = True
    breaks = ("test_its_entry_point_is_right",)
