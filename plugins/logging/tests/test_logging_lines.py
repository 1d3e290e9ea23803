"""What a line says, and that there is exactly one for each model call."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from dovetail import (
    Answer,
    ChatCall,
    ChatMessage,
    ChatProvider,
    ChatRequest,
    ChatResponse,
    ExecutionContext,
    FinishReason,
    Kernel,
    Middleware,
    ProviderError,
    StreamingChunk,
    TurnCall,
    Usage,
)
from dovetail.testing import FakeModel
from plugins.logging.tests.reading import read

Open = Callable[..., Kernel]
Lines = Callable[[], list[dict[str, Any]]]

ANSWER = (
    StreamingChunk(text="It is a joint."),
    StreamingChunk(
        finish_reason=FinishReason.LENGTH, usage=Usage(prompt_tokens=3, completion_tokens=50)
    ),
)


class Whole(ChatProvider):
    """Gives whole answers only."""

    async def send_message(self, request: ChatRequest, context: ExecutionContext) -> ChatResponse:
        return ChatResponse(
            message=ChatMessage.assistant("All of it."),
            usage=Usage(prompt_tokens=1, completion_tokens=3),
            model="whole-2026",
        )


class Elsewhere(Middleware):
    """Lets another instance answer."""

    async def chat(
        self, call: ChatCall, call_next: Callable[[ChatCall], Awaitable[Answer]]
    ) -> Answer:
        return await call_next(replace(call, provider="whole"))


class Twice(Middleware):
    """Asks the model twice in a turn."""

    async def turn(
        self, call: TurnCall, call_next: Callable[[TurnCall], Awaitable[Answer]]
    ) -> Answer:
        await (await call_next(call)).read()
        return await call_next(call)


async def test_a_whole_answer_is_one_line_with_every_field(
    open_kernel: Open, log: Path, lines: Lines, model: FakeModel
) -> None:
    model.will_say(ANSWER)
    before = datetime.now(UTC)
    async with open_kernel({"file": str(log)}) as kernel:
        await kernel.chat("What is it?", session="s-1", user="ada")
    (line,) = lines()
    assert before <= datetime.fromisoformat(line.pop("timestamp")) <= datetime.now(UTC)
    assert len(line.pop("request_id")) == 36
    assert 0 <= line.pop("first_chunk_s") <= line.pop("duration_s")
    assert line.pop("tokens_per_s") > 0
    assert line == {
        "level": "info",
        "event": "chat",
        "outcome": "ok",
        "session_id": "s-1",
        "user_id": "ada",
        "provider": "fake",
        "model": "fake-1",
        "stream": False,
        "finish_reason": "length",
        "prompt_tokens": 3,
        "completion_tokens": 50,
    }


async def test_a_stream_is_the_same_line(
    open_kernel: Open, log: Path, lines: Lines, model: FakeModel
) -> None:
    model.will_say(ANSWER, ANSWER)
    async with open_kernel({"file": str(log)}) as kernel:
        await kernel.chat("What is it?")
        await read(kernel)
    whole, streamed = lines()
    assert list(whole) == list(streamed)
    varying = {"timestamp", "request_id", "tokens_per_s", "first_chunk_s", "duration_s"}
    assert {k: v for k, v in streamed.items() if k not in varying} == {
        **{k: v for k, v in whole.items() if k not in varying},
        "stream": True,
    }


async def test_the_first_chunk_is_timed_apart_from_the_rest(
    open_kernel: Open, log: Path, lines: Lines, model: FakeModel
) -> None:
    model.will_say([0.02, "one ", 0.03, "two"], [0.02, "one ", 0.03, "two"])
    async with open_kernel({"file": str(log)}) as kernel:
        await kernel.chat("Count.")
        await read(kernel)
    for line in lines():
        assert line["first_chunk_s"] >= 0.02
        assert line["duration_s"] - line["first_chunk_s"] >= 0.029


async def test_the_wait_for_the_first_chunk_does_not_slow_the_tokens_down(
    open_kernel: Open, log: Path, lines: Lines, model: FakeModel
) -> None:
    end = StreamingChunk(finish_reason=FinishReason.STOP, usage=Usage(completion_tokens=11))
    model.will_say([0.3, "one ", 0.1, end])
    async with open_kernel({"file": str(log)}) as kernel:
        await read(kernel)
    (line,) = lines()
    seconds = line["duration_s"] - line["first_chunk_s"]
    assert line["tokens_per_s"] == pytest.approx(10 / seconds, rel=0.01)
    assert seconds < line["duration_s"] / 2


async def test_one_token_has_no_pace(
    open_kernel: Open, log: Path, lines: Lines, model: FakeModel
) -> None:
    model.will_say("yes")
    async with open_kernel({"file": str(log)}) as kernel:
        await kernel.chat("Is it?")
    (line,) = lines()
    assert line["completion_tokens"] == 1
    assert "tokens_per_s" not in line


async def test_an_answer_that_came_in_one_piece_has_no_first_chunk(
    open_kernel: Open, log: Path, lines: Lines
) -> None:
    async with open_kernel({"file": str(log)}, more=(Whole,)) as kernel:
        await kernel.chat("All?", model="whole/best")
    (line,) = lines()
    assert "first_chunk_s" not in line
    assert (line["provider"], line["model"]) == ("whole", "whole-2026")
    assert line["completion_tokens"] == 3
    assert line["tokens_per_s"] == pytest.approx(3 / line["duration_s"], rel=0.2)


async def test_the_line_names_the_instance_that_answered(
    open_kernel: Open, log: Path, lines: Lines
) -> None:
    async with open_kernel({"file": str(log)}, more=(Elsewhere, Whole)) as kernel:
        await kernel.chat("All?")
    assert [line["provider"] for line in lines()] == ["whole"]


async def test_the_request_id_is_the_contexts_and_its_childrens(
    open_kernel: Open, log: Path, lines: Lines
) -> None:
    context = ExecutionContext(user_id="ada")
    async with open_kernel({"file": str(log)}) as kernel:
        await kernel.chat("One", context=context)
        await kernel.chat("Two", context=context.create_child_context())
        await kernel.embed("Three", context=context)
        await kernel.chat("Four", context=ExecutionContext(request_id="mine"))
    *same, other = lines()
    assert {line["request_id"] for line in same} == {context.request_id}
    assert other["request_id"] == "mine"


async def test_each_model_call_of_a_turn_has_its_line(
    open_kernel: Open, log: Path, lines: Lines, model: FakeModel
) -> None:
    model.will_say("Let me see.", "It is a joint.")
    async with open_kernel({"file": str(log)}, more=(Twice,)) as kernel:
        await kernel.chat("What is it?")
    first, second = lines()
    assert first["request_id"] == second["request_id"]
    assert (first["completion_tokens"], second["completion_tokens"]) == (3, 4)


async def test_an_embedding_is_a_line(open_kernel: Open, log: Path, lines: Lines) -> None:
    async with open_kernel({"file": str(log)}) as kernel:
        await kernel.embed(["one", "two words"])
    (line,) = lines()
    assert line.pop("duration_s") > 0
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo == UTC
    assert len(line.pop("request_id")) == 36
    assert line == {
        "level": "info",
        "event": "embed",
        "outcome": "ok",
        "provider": "fake",
        "model": "fake-1",
        "texts": 2,
        "dimensions": 16,
        "prompt_tokens": 3,
    }


async def test_texts_are_written_only_when_asked_for(
    open_kernel: Open, log: Path, lines: Lines, model: FakeModel, tmp_path: Path
) -> None:
    model.will_say("The answer has a fox.")
    silent = tmp_path / "silent.log"
    tables = ({"file": str(log), "content": True}, {"file": str(silent)})
    async with open_kernel(*tables) as kernel:
        await kernel.chat([ChatMessage.system("Be a hen."), ChatMessage.user("A question")])
    (line,) = lines()
    assert (line["prompt"], line["answer"]) == ("A question", "The answer has a fox.")
    assert "question" not in silent.read_text()
    assert "fox" not in silent.read_text()


async def test_texts_are_redacted_and_then_cut(
    open_kernel: Open, log: Path, lines: Lines, model: FakeModel
) -> None:
    model.will_say("Your number is 4111-1111, " + "and so on " * 100)
    table = {
        "file": str(log),
        "content": True,
        "content_chars": 30,
        "redact_patterns": [r"\d{4}-\d{4}"],
    }
    async with open_kernel(table) as kernel:
        await kernel.chat("Is this safe? password=correct-horse-battery-staple and more")
    (line,) = lines()
    assert line["prompt"] == "Is this safe? password=*** and…"
    assert line["answer"] == "Your number is ***, and so on …"


async def test_what_came_of_a_broken_answer_is_written(
    open_kernel: Open, log: Path, lines: Lines, model: FakeModel
) -> None:
    model.will_say(["One ", ProviderError("the line broke")])
    async with open_kernel({"file": str(log), "content": True}) as kernel:
        with pytest.raises(ProviderError):
            await kernel.chat("Count.")
    assert (lines()[0]["prompt"], lines()[0]["answer"]) == ("Count.", "One ")


async def test_chats_at_once_do_not_mix(open_kernel: Open, log: Path, lines: Lines) -> None:
    async with open_kernel({"file": str(log), "content": True}) as kernel:
        contexts = [ExecutionContext(user_id=f"user-{i}") for i in range(30)]
        asked = [kernel.chat(f"by {c.user_id}", context=c) for c in contexts[:15]]
        streamed = [read(kernel, f"by {c.user_id}", context=c) for c in contexts[15:]]
        await asyncio.gather(*asked, *streamed)
    written = {line["user_id"]: line for line in lines()}
    assert len(written) == 30
    for context in contexts:
        line = written[str(context.user_id)]
        assert line["request_id"] == context.request_id
        assert line["prompt"] == line["answer"] == f"by {context.user_id}"


async def test_the_hosts_own_logging_stays_as_it_is(open_kernel: Open, log: Path) -> None:
    before = (structlog.is_configured(), structlog.get_config())
    async with open_kernel({"file": str(log)}) as kernel:
        await kernel.chat("Hello")
        assert (structlog.is_configured(), structlog.get_config()) == before
    assert (structlog.is_configured(), structlog.get_config()) == before
