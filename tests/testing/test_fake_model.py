"""The fake model says what it is told, and tells what it was asked."""

import pytest

from dovetail import (
    ChatMessage,
    ChatRequest,
    ChatResponse,
    ExecutionContext,
    FinishReason,
    Kernel,
    ModelNotFound,
    RateLimited,
    StreamingChunk,
    StreamInterrupted,
    ToolCall,
)
from dovetail.testing import FakeModel, Gate, fake, fake_plugin
from dovetail.testing.script import words


def kernel_with(model: FakeModel, **settings: object) -> Kernel:
    config = {"chat": {"model": "fake"}, "providers": {"fake": settings}}
    return Kernel.open(config, env={}).register("fake", fake_plugin(model))


async def test_it_says_each_reply_once_and_then_repeats_what_it_hears() -> None:
    async with kernel_with(FakeModel("one", "two")) as kernel:
        said = [(await kernel.chat(text)).text for text in ("a", "b", "c")]
    assert said == ["one", "two", "c"]


async def test_it_notes_what_it_was_asked_and_in_which_context() -> None:
    model = FakeModel()
    context = ExecutionContext(user_id="ada")
    async with kernel_with(model) as kernel:
        await kernel.chat(
            ChatRequest(messages=(ChatMessage.user("Hi"),), model="fake/x", seed=3),
            context=context,
        )
    (call,) = model.calls
    assert (call.request.model, call.request.seed) == ("x", 3)
    assert model.requests == [call.request]
    assert call.context is context
    assert call.finished
    assert call.closed


async def test_a_text_is_streamed_word_by_word_and_a_list_as_it_is() -> None:
    model = FakeModel(" Two  words\n", ["as ", "it is", StreamingChunk(reasoning="why")])
    async with kernel_with(model) as kernel:
        pieces = []
        for _ in range(2):
            async with kernel.stream("go") as stream:
                pieces.append([c.text or c.reasoning async for c in stream if not c.usage])
    assert pieces == [[" Two  ", "words\n"], ["as ", "it is", "why"]]


@pytest.mark.parametrize("text", ["", " ", "a", " a  b\n\nc ", "日本 語"])
def test_the_words_of_a_text_are_the_text(text: str) -> None:
    assert "".join(words(text)) == text


async def test_tool_calls_end_an_answer_with_their_own_reason() -> None:
    calls = [ToolCall(id="1", name="day"), ToolCall(id="2", name="hour", arguments='{"z": 1}')]
    async with kernel_with(FakeModel(calls)) as kernel:
        response = await kernel.chat("When?")
    assert list(response.message.tool_calls) == calls
    assert response.finish_reason is FinishReason.TOOL_CALLS


async def test_a_whole_response_comes_as_it_is() -> None:
    whole = ChatResponse(
        message=ChatMessage.assistant("Done."), finish_reason="odd", model="m", extras={"k": 1}
    )
    async with kernel_with(FakeModel(whole)) as kernel:
        response = await kernel.chat("Go")
    assert (response.text, response.finish_reason, response.extras) == ("Done.", "odd", {"k": 1})


async def test_an_exception_is_raised_where_it_stands() -> None:
    model = FakeModel(RateLimited("later"), ["some ", StreamInterrupted("cut"), "never"])
    async with kernel_with(model) as kernel:
        with pytest.raises(RateLimited, match="later"):
            await kernel.chat("a")
        with pytest.raises(StreamInterrupted) as caught:
            await kernel.chat("b")
    assert caught.value.response is not None
    assert caught.value.response.text == "some "
    assert [call.finished for call in model.calls] == [False, False]


async def test_a_function_answers_to_the_request() -> None:
    async with kernel_with(FakeModel(lambda request: f"{len(request.messages)} message")) as kernel:
        assert (await kernel.chat("Hi")).text == "1 message"


async def test_a_gate_holds_the_answer_until_the_test_opens_it() -> None:
    gate = Gate()
    model = FakeModel(["first ", gate, 0.001, "second"])
    async with kernel_with(model) as kernel, kernel.stream("go") as stream:
        assert (await anext(stream)).text == "first "
        await gate.reached()
        assert not model.calls[0].closed
        gate.open()
        assert [c.text async for c in stream if c.text] == ["second"]


async def test_it_knows_that_its_stream_was_left() -> None:
    model = FakeModel(["first ", Gate()])
    async with kernel_with(model) as kernel:
        async with kernel.stream("go") as stream:
            await anext(stream)
        (call,) = model.calls
        assert call.closed
        assert not call.finished


async def test_a_gate_nobody_comes_to_says_so() -> None:
    with pytest.raises(TimeoutError):
        await Gate().reached(0.01)


async def test_it_stops_at_the_longest_answer_that_is_asked_for() -> None:
    async with kernel_with(FakeModel("one two three four")) as kernel:
        request = ChatRequest(messages=(ChatMessage.user("go on"),), max_tokens=2)
        response = await kernel.chat(request)
    assert response.text == "one two "
    assert response.finish_reason is FinishReason.LENGTH
    assert response.usage is not None
    assert response.usage.completion_tokens == 2


async def test_the_config_alone_can_say_what_it_answers() -> None:
    table = {"answers": ["from the config"], "known": ["small"], "pause": "1ms"}
    config = {"chat": {"model": "m/small"}, "providers": {"m": {"use": "fake", **table}}}
    async with Kernel.open(config, env={}).register("fake", fake) as kernel:
        assert (await kernel.chat("a")).text == "from the config"
        assert [info.id for info in await kernel.models()] == ["m/small"]
        with pytest.raises(ModelNotFound) as caught:
            await kernel.chat("a", model="m/smal")
    assert caught.value.details.nearest == ("m/small",)


async def test_each_table_has_a_model_of_its_own_unless_one_is_given() -> None:
    one = FakeModel("mine")
    config = {"providers": {"a": {"use": "fake"}, "b": {"use": "fake"}}}
    async with Kernel.open(config, env={}).register("fake", fake_plugin(one)) as kernel:
        assert kernel.generation.providers["a"] is kernel.generation.providers["b"] is one
    async with Kernel.open(config, env={}).register("fake", fake_plugin()) as kernel:
        assert kernel.generation.providers["a"] is not kernel.generation.providers["b"]


async def test_it_embeds_the_same_text_alike_everywhere() -> None:
    config: dict[str, object] = {"providers": {"fake": {}}}
    first = FakeModel()
    async with Kernel.open(config, env={}).register("fake", fake_plugin(first)) as kernel:
        here = await kernel.embed(["a b", "c"])
    async with Kernel.open(config, env={}).register("fake", fake_plugin()) as kernel:
        there = await kernel.embed(["a b", "c"])
    assert here.embeddings == there.embeddings
    assert first.embed_requests[0].input == ("a b", "c")


async def test_it_has_the_window_its_config_says() -> None:
    async with kernel_with(FakeModel(), window=64) as kernel:
        (info,) = await kernel.models()
    assert info.context_window == 64
