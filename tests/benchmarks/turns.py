"""What a turn and a streamed chunk cost, beside langchain's and pydantic-ai's fake models."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from langchain_core.language_models import FakeListChatModel
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

from dovetail import (
    ChatMessage,
    ChatProvider,
    ChatRequest,
    ChatResponse,
    ExecutionContext,
    Kernel,
    StreamingChunk,
    hookimpl,
)
from tests.benchmarks.harness import Goal, Subject, compare, interleave, profile, timed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.benchmarks.harness import Row, Sample, Step

ROUNDS = 15
TURNS = 300
AGENT_TURNS = 60
CHUNKS = 1000
LONG = 500
"""Turns that the long session has already when it is measured."""

SIXTH = Goal(1 / 6, "≤ 1/6")
FORTIETH = Goal(1 / 40, "≤ 1/40")
FIFTH = Goal(1 / 5, "≤ 1/5")
ABOUT = f"""\
Every model answers `hello` at once, and `await kernel.chat("hi")` is set beside
`FakeListChatModel.ainvoke("hi")` and `Agent(TestModel()).run("hi")`. "Streams" and "whole" are
providers with `send_message_stream` and with `send_message`. "Sessions of 10 turns" keeps every
turn and begins a new session after ten; the long session has {LONG} turns when it is first
measured, and its latest 200 messages go to the provider each time. Neither peer keeps anything.
{ROUNDS} rounds of {TURNS} turns ({AGENT_TURNS} of the agent). A chunk is an answer of {CHUNKS}
chunks of one character, read from `kernel.stream` and from `FakeListChatModel.astream`, by that
number."""


class Streams(ChatProvider):
    """Streams one chunk."""

    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncIterator[StreamingChunk]:
        """The answer."""
        yield StreamingChunk(text="hello")


class Whole(ChatProvider):
    """Gives its answer whole."""

    async def send_message(self, request: ChatRequest, context: ExecutionContext) -> ChatResponse:
        """The answer."""
        return ChatResponse(message=ChatMessage.assistant("hello"))


class Long(ChatProvider):
    """Streams many chunks."""

    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncIterator[StreamingChunk]:
        """The answer."""
        for _ in range(CHUNKS):
            yield StreamingChunk(text="x")


@hookimpl
def providers() -> list[type[ChatProvider]]:
    """This module is a plugin."""
    return [Streams, Whole, Long]


CONFIG: dict[str, object] = {
    "chat": {"model": "streams"},
    "providers": {name: {"use": f"bench:{name}"} for name in ("streams", "whole", "long")},
}


async def measure() -> Subject:
    """Turns and chunks, each against its peer."""
    kernel = Kernel.open(CONFIG, env={}, discover_installed=False)
    kernel.register("bench", sys.modules[__name__])
    turns: dict[str, Step] = {
        "no session, streams": lambda _: kernel.chat("hi"),
        "sessions of 10 turns, streams": _ten_turns(kernel, "streams"),
        "sessions of 10 turns, whole": _ten_turns(kernel, "whole"),
        "one long session, streams": lambda _: kernel.chat("hi", session="long"),
    }
    answer = _long_answer(kernel)
    async with kernel:
        for number in range(LONG):
            await turns["one long session, streams"](number)
        samples = {name: timed(step, TURNS) for name, step in turns.items()}
        samples["our chunk"] = timed(answer, 5, items=CHUNKS)
        taken = await interleave({**samples, **_peers()}, ROUNDS)
        subject = Subject("Turns and chunks", ABOUT, _rows(list(turns), taken))
        for name, step in turns.items():
            if any(row.missed and row.what.endswith(name) for row in subject.rows):
                subject.profiles[f"turn: {name}"] = await profile(step, 2000)
        if subject.rows[-1].missed:
            subject.profiles["streamed answer"] = await profile(answer, 20)
    return subject


def _rows(turns: list[str], taken: dict[str, list[float]]) -> list[Row]:
    langchain = ("langchain ainvoke", taken["langchain"])
    agent = ("pydantic-ai run", taken["pydantic-ai"])
    rows = []
    for name in turns:
        goal = None if name.startswith("no session") else SIXTH
        rows.append(compare(f"turn: {name}", taken[name], langchain, goal))
    rows += [compare(f"turn: {name}", taken[name], agent, FORTIETH) for name in turns]
    chunk = ("langchain astream", taken["their chunk"])
    return [*rows, compare("streamed chunk", taken["our chunk"], chunk, FIFTH)]


def _ten_turns(kernel: Kernel, model: str) -> Step:
    return lambda number: kernel.chat("hi", model=model, session=f"{model}-{number // 10}")


def _long_answer(kernel: Kernel) -> Step:
    async def step(_: int) -> None:
        async with kernel.stream("hi", model="long") as stream:
            count = sum([1 async for _chunk in stream])
        assert count == CHUNKS

    return step


def _peers() -> dict[str, Sample]:
    fake = FakeListChatModel(responses=["hello"])
    long = FakeListChatModel(responses=["x" * CHUNKS])
    agent = Agent(TestModel(custom_output_text="hello"))

    async def answer(_: int) -> None:
        count = sum([1 async for _chunk in long.astream("hi")])
        assert count >= CHUNKS

    return {
        "langchain": timed(lambda _: fake.ainvoke("hi"), TURNS),
        "pydantic-ai": timed(lambda _: agent.run("hi"), AGENT_TURNS),
        "their chunk": timed(answer, 1, items=CHUNKS),
    }
