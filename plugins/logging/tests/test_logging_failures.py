"""What a line says of a call that failed or was cancelled, and that there is exactly one."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail import FinishReason, Kernel, ProviderError, RateLimited
from dovetail.testing import FakeModel, Gate
from plugins.logging.tests.reading import read

Open = Callable[..., Kernel]
Lines = Callable[[], list[dict[str, Any]]]


class Unspeakable(ProviderError):
    def __str__(self) -> str:
        raise ValueError("it cannot be said")


async def test_an_embedding_that_fails_is_a_line(
    open_kernel: Open, log: Path, lines: Lines
) -> None:
    class Narrow(FakeModel):
        name = "narrow"

        async def embed(self, request: Any, context: Any) -> Any:
            raise RateLimited("slow down", status=429)

    async with open_kernel({"file": str(log)}, more=(Narrow,)) as kernel:
        with pytest.raises(RateLimited):
            await kernel.embed("one", model="narrow/x")
    (line,) = lines()
    assert (line["event"], line["outcome"], line["status"]) == ("embed", "error", 429)
    assert "dimensions" not in line


@pytest.mark.parametrize("ask", [Kernel.chat, read])
async def test_an_error_before_the_first_chunk_is_one_line_and_passes(
    open_kernel: Open, log: Path, lines: Lines, model: FakeModel, ask: Callable[..., Any]
) -> None:
    error = RateLimited("slow down", status=429)
    model.will_say(error)
    async with open_kernel({"file": str(log)}) as kernel:
        with pytest.raises(RateLimited) as caught:
            await ask(kernel, "Hello")
    assert caught.value is error
    (line,) = lines()
    assert (line["level"], line["outcome"]) == ("error", "error")
    assert (line["error"], line["error_message"]) == ("RateLimited", "fake: slow down")
    assert (line["status"], line["provider"], line["model"]) == (429, "fake", "fake-1")
    assert "first_chunk_s" not in line


@pytest.mark.parametrize("ask", [Kernel.chat, read])
async def test_an_error_after_the_first_chunk_is_one_line_and_passes(
    open_kernel: Open, log: Path, lines: Lines, model: FakeModel, ask: Callable[..., Any]
) -> None:
    error = ProviderError("the line broke")
    model.will_say(["One ", "two ", error])
    async with open_kernel({"file": str(log)}) as kernel:
        with pytest.raises(ProviderError) as caught:
            await ask(kernel, "Hello")
    assert caught.value is error
    (line,) = lines()
    assert (line["outcome"], line["finish_reason"]) == ("error", "error")
    assert line["error_message"] == "fake: the line broke"
    assert "first_chunk_s" in line
    assert "status" not in line


async def test_an_error_that_cannot_be_described_still_passes(
    open_kernel: Open, log: Path, model: FakeModel
) -> None:
    error = Unspeakable("?")
    model.will_say(error)
    async with open_kernel({"file": str(log)}) as kernel:
        with pytest.raises(Unspeakable) as caught:
            await kernel.chat("Hello")
        assert (await kernel.chat("Still there?")).text == "Still there?"
    assert caught.value is error


@pytest.mark.parametrize("before", [True, False])
async def test_a_cancelled_stream_is_one_line(
    open_kernel: Open, log: Path, lines: Lines, model: FakeModel, *, before: bool
) -> None:
    gate = Gate()
    model.will_say([gate] if before else ["One ", gate])
    async with open_kernel({"file": str(log)}) as kernel, kernel.stream("Hello") as stream:
        await gate.reached()
        stream.cancel()
        await stream.run.wait()
    (line,) = lines()
    assert (line["level"], line["outcome"]) == ("info", "cancelled")
    assert ("first_chunk_s" in line) is not before
    assert line.get("finish_reason") == (None if before else "cancelled")
    assert "error" not in line


async def test_leaving_a_stream_is_one_line(
    open_kernel: Open, log: Path, lines: Lines, model: FakeModel
) -> None:
    model.will_say("word " * 1000)  # more than the window holds, so that the turn waits for us
    async with open_kernel({"file": str(log)}) as kernel:
        async with kernel.stream("Hello") as stream:
            await anext(stream)
        assert [line["outcome"] for line in lines()] == ["cancelled"]


async def test_a_callers_time_limit_is_one_line(
    open_kernel: Open, log: Path, lines: Lines, model: FakeModel
) -> None:
    gate = Gate()
    model.will_say([gate])
    async with open_kernel({"file": str(log)}) as kernel:
        asking = asyncio.create_task(kernel.chat("Hello"))
        await gate.reached()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert [line["outcome"] for line in lines()] == ["cancelled"]


async def test_secrets_in_an_error_are_masked(
    open_kernel: Open, log: Path, lines: Lines, model: FakeModel
) -> None:
    model.will_say(
        ProviderError(
            "401 for Authorization: Bearer abc.def, api_key=hunter22, sk-0123456789abcdef"
        )
    )
    async with open_kernel({"file": str(log)}) as kernel:
        with pytest.raises(ProviderError):
            await kernel.chat("Hello")
    message = lines()[0]["error_message"]
    assert message.startswith("fake: 401 for Authorization: ***")
    assert not any(secret in message for secret in ("abc.def", "hunter22", "0123456789abcdef"))


async def test_a_long_error_is_cut(
    open_kernel: Open, log: Path, lines: Lines, model: FakeModel
) -> None:
    model.will_say(ProviderError("x" * 100_000))
    async with open_kernel({"file": str(log)}) as kernel:
        with pytest.raises(ProviderError):
            await kernel.chat("Hello")
    assert len(lines()[0]["error_message"]) == 501


async def test_only_failures_are_written_at_level_error(
    open_kernel: Open, log: Path, lines: Lines, model: FakeModel
) -> None:
    gate = Gate()
    model.will_say("Fine.", ["One ", gate], ["One ", ProviderError("late")], ProviderError("early"))
    async with open_kernel({"file": str(log), "level": "error"}) as kernel:
        await kernel.chat("Hello")
        await kernel.embed("Hello")
        async with kernel.stream("Hello") as stream:
            await gate.reached()
        assert stream.response.finish_reason is FinishReason.CANCELLED
        for _ in range(2):
            with pytest.raises(ProviderError):
                await kernel.chat("Hello")
    assert [line["error_message"] for line in lines()] == ["fake: late", "fake: early"]
