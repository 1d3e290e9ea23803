"""What a context costs, beside validating a request."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from dovetail import ChatRequest, ExecutionContext
from tests.benchmarks.harness import Goal, Subject, compare, interleave

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.harness import Sample

ROUNDS = 15
TIMES = 20_000

AT_MOST = Goal(1.0, "≤ 1")
ABOUT = f"""\
Making an `ExecutionContext` for a user and a session, a child of one, and one from a `traceparent`
header, beside `ChatRequest.model_validate` of a mapping with three messages. {ROUNDS} rounds of
{TIMES:,}."""

REQUEST = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is a dovetail joint?"},
        {"role": "assistant", "content": "Two boards that hold each other."},
    ]
}


async def measure() -> Subject:
    """Contexts against a request."""
    parent = ExecutionContext(user_id="ada", session_id="s")
    headers: dict[str, str] = {}
    parent.inject(headers)
    ours = {
        "context": lambda: ExecutionContext(user_id="ada", session_id="s"),
        "child context": parent.create_child_context,
        "context from another process": lambda: ExecutionContext.extract(headers),
    }
    samples = {name: _sample(make) for name, make in ours.items()}
    samples["request"] = _sample(lambda: ChatRequest.model_validate(REQUEST))
    taken = await interleave(samples, ROUNDS)
    peer = ("validating a request", taken["request"])
    goals = {"context": AT_MOST}
    rows = [compare(name, taken[name], peer, goals.get(name)) for name in ours]
    return Subject("Contexts", ABOUT, rows)


def _sample(make: Callable[[], object]) -> Sample:
    async def sample() -> float:
        began = perf_counter()
        for _ in range(TIMES):
            make()
        return (perf_counter() - began) / TIMES

    return sample
