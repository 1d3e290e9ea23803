"""What a script costs, beside a bare checkout and run of `pydantic-monty`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_monty import AsyncMonty, Monty, ResourceLimits

from dovetail import Kernel
from dovetail_scripts import ScriptExecutionContext, script_function
from tests.benchmarks.harness import Goal, Subject, compare, interleave, profile, timed

if TYPE_CHECKING:
    from dovetail_scripts import ScriptEngine
    from tests.benchmarks.harness import Step

ROUNDS = 21
RUNS = 200

TWICE = Goal(2.0, "≤ 2")
SOURCE = """\
greeting = {call}(name)
mood = mood + 1
"""
ANSWER = '{"greeting": greeting, "mood": mood}\n'
INPUTS = {"name": "Ada", "mood": 1}
LEFT = {"greeting": "Hello Ada", "mood": 2}
LIMITS = ResourceLimits(
    max_feed_duration_secs=2.0, max_memory=32_000_000, max_recursion_depth=200, max_suspensions=1000
)
ABOUT = f"""\
A script of two lines with two inputs, one call of an asynchronous host function, and two variables,
by `await engine.run(…)` of plugin `scripts`, which also finds out what the script set, checks what
passes in either direction, and can be cancelled. Beside it the same lines in a session that is
checked out of a warm pool with the same limits and hands its variables over as its value: of
`AsyncMonty`, where the function is awaited as ours is, and of `Monty`, which blocks the event loop,
calls a synchronous one, and so has no goal. Medians of {ROUNDS} rounds of {RUNS} runs each."""


async def measure() -> Subject:
    """One script, three ways."""
    config: dict[str, object] = {"plugins": {"scripts": {}}}
    async with Kernel.open(config, env={}) as kernel, AsyncMonty() as pool:
        with Monty() as blocking:
            ours = by_engine(kernel.services.get("script_engine"))
            taken = await interleave(
                {
                    "ours": timed(ours, RUNS),
                    "AsyncMonty": timed(by_pool(pool), RUNS),
                    "Monty": timed(by_blocking_pool(blocking), RUNS),
                },
                ROUNDS,
            )
        rows = [
            compare(
                "a script with one host call", taken["ours"], (f"bare {peer}", taken[peer]), goal
            )
            for peer, goal in (("AsyncMonty", TWICE), ("Monty", None))
        ]
        missed = any(row.missed for row in rows)
        profiles = {"a script": await profile(ours, 1000)} if missed else {}
    return Subject("Scripts", ABOUT, rows, profiles)


@script_function
async def greet(name: str) -> str:
    """A host function."""
    return f"Hello {name}"


def by_engine(engine: ScriptEngine) -> Step:
    """Our way."""
    source = SOURCE.format(call="greet")

    async def step(_: int) -> None:
        script = ScriptExecutionContext("mood", inputs=INPUTS, functions={"greet": greet})
        result = await engine.run(source, script)
        assert result.variables == LEFT

    return step


def by_pool(pool: AsyncMonty) -> Step:
    """The asynchronous pool as its page shows it."""
    source = SOURCE.format(call="await greet") + ANSWER

    async def step(_: int) -> None:
        async with pool.checkout(limits=LIMITS) as session:
            lookup = {"greet": greet.function}
            assert await session.feed_run(source, inputs=INPUTS, external_lookup=lookup) == LEFT

    return step


def by_blocking_pool(pool: Monty) -> Step:
    """The synchronous pool, in the event loop's own thread."""
    source = SOURCE.format(call="greet") + ANSWER

    async def step(_: int) -> None:
        with pool.checkout(limits=LIMITS) as session:
            lookup = {"greet": lambda name: f"Hello {name}"}
            assert session.feed_run(source, inputs=INPUTS, external_lookup=lookup) == LEFT

    return step
