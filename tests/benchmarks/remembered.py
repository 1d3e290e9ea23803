"""What a turn costs whose question and answer the vector store remembers."""

from __future__ import annotations

import tempfile
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple

from dovetail import ChatMessage, ChatRequest, Kernel
from tests.benchmarks import turns
from tests.benchmarks.harness import Goal, Subject, compare, interleave, profile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dovetail_vectorstore import VectorStore
    from tests.benchmarks.harness import Step

ROUNDS = 41
TURNS = 100
SLOW_TURNS = 3
TOKENS = 16

FIFTH_MORE = Goal(1.2, "≤ 1.2")
ABOUT = f"""\
A turn with `[providers.notes] use = "vectorstore"` and `remember = "user"`, vectors of `wordllama`
and an embedded store on a disk, beside the same turn without that provider. No turn waits for the
store, but what keeps the turns before it takes its part of the process: of one whose model answers
at once, and of one with {TOKENS} tokens of the bundled model. {ROUNDS} rounds of {TURNS} turns in a
row, of the bundled model {SLOW_TURNS}; after each, outside of what is timed, all of them are waited
for until they are kept, so that no sample has another's work beside it. "Until it is kept" counts
that too: what a turn costs a process that never rests."""


class Taken(NamedTuple):
    """Seconds a turn."""

    turn: float
    kept: float
    """Until what it gave is kept too."""


async def measure() -> Subject:
    """Turns without a session, and in sessions."""
    subject = Subject("Remembered turns", ABOUT, [])
    kinds = {
        "bundled model": (_modelled, SLOW_TURNS),
        "no session": (_turn, TURNS),
        "sessions of 10 turns": (_ten_turns, TURNS),
    }
    async with AsyncExitStack() as stack:
        opened = []
        for remembered in (False, True):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dovetail-bench-"))
            made = kernel(folder, remembered=remembered)
            opened.append(await stack.enter_async_context(made))
        alone, notes = opened
        samples = {}
        for name, (step, turns) in kinds.items():
            samples[f"{name}, without"] = _sample(step(alone), alone, turns)
            samples[f"{name}, with"] = _sample(step(notes), notes, turns)
        taken = await interleave(samples, ROUNDS)
        await _check(notes, sum(turns for _, turns in kinds.values()) * (ROUNDS + 1))
        for name, (step, turns) in kinds.items():
            without = ("without", [sample.turn for sample in taken[f"{name}, without"]])
            with_it = taken[f"{name}, with"]
            what = f"turn: {name}, remembered"
            row = compare(what, [sample.turn for sample in with_it], without, FIFTH_MORE)
            whole = [sample.kept for sample in with_it]
            subject.rows += [row, compare(f"{what}, until it is kept", whole, without)]
            if row.missed:
                subject.profiles[what] = await profile(step(notes), turns)
    return subject


def kernel(folder: str, *, remembered: bool) -> Kernel:
    """A kernel with an instant model, a vector store, and perhaps the provider."""
    notes = {"notes": {"use": "vectorstore", "remember": "user"}} if remembered else {}
    config = {
        "chat": {"model": "streams", "embedding_model": "wordllama"},
        "providers": {
            "streams": {"use": "bench:streams"},
            "wordllama": {},
            "llamacpp": {},
            **notes,
        },
        "plugins": {"vectorstore": {"path": folder}},
    }
    return Kernel.open(config, env={}).register("bench", turns)


async def _drain(opened: Kernel) -> None:
    """Wait until all turns so far are kept."""
    for item in opened.generation.events.registry.registrations("agent_complete"):
        if item.mailbox is not None:
            await item.mailbox.drain(60)


async def _check(opened: Kernel, wanted: int) -> None:
    store: VectorStore = opened.services.get("vector_store")
    stats = await store.stats()
    kept = 0 if stats is None else stats.collection.items
    if kept != wanted:
        raise RuntimeError(f"{kept} of {wanted} turns were kept")


def _sample(step: Step, opened: Kernel, turns: int) -> Callable[[], Awaitable[Taken]]:
    count = 0

    async def sample() -> Taken:
        nonlocal count
        first, count = count, count + turns
        began = time.perf_counter()
        for number in range(first, count):
            await step(number)
        turn = time.perf_counter() - began
        await _drain(opened)
        return Taken(turn / turns, (time.perf_counter() - began) / turns)

    return sample


def _modelled(opened: Kernel) -> Step:
    def step(number: int) -> Awaitable[object]:
        asked = (ChatMessage.user(f"Tell me of {number}."),)
        request = ChatRequest(messages=asked, temperature=0.0, max_tokens=TOKENS)
        return opened.chat(request, model="llamacpp", user="ada")

    return step


def _turn(opened: Kernel) -> Step:
    return lambda number: opened.chat(f"What about {number}?", user="ada")


def _ten_turns(opened: Kernel) -> Step:
    return lambda number: opened.chat(
        f"And what about {number}?", user="ada", session=f"s-{number // 10}"
    )
