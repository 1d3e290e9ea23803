"""What the `resilience` middleware adds to a call when nothing goes wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail import Kernel
from tests.benchmarks.calls import MANY, config, whole
from tests.benchmarks.harness import Goal, Subject, compare, costed, interleave, profile
from tests.benchmarks.streaming import streamed
from tests.benchmarks.upstream import CHUNKS, upstream

if TYPE_CHECKING:
    from tests.benchmarks.harness import Row, Step

ROUNDS = 21
CALLS = 480
ANSWERS = 8

TENTH_MORE = Goal(1.1, "≤ 1.1")
ABOUT = f"""\
The same call of `kernel.chat` over the network with `[[middleware]] use = "resilience"`, as it is
set up by itself, and without any middleware; and an answer streamed in {CHUNKS:,} chunks back to
back. {ROUNDS} rounds of {CALLS} calls, or {ANSWERS} answers, of each."""


async def measure() -> Subject:
    """A call alone, calls at a time, and a streamed answer, with it and without."""
    async with upstream() as url:
        guarded = {**config(url), "middleware": [{"use": "resilience"}]}
        async with (
            Kernel.open(config(url), env={}) as plain,
            Kernel.open(guarded, env={}) as kernel,
        ):
            steps = {
                "a call, 1 at a time": (whole(kernel, "ours"), whole(plain, "ours")),
                f"a call, {MANY} at a time": (whole(kernel, "ours"), whole(plain, "ours")),
                "a streamed answer": (streamed(kernel, "fast"), streamed(plain, "fast")),
            }
            rows, profiles = [], {}
            for what, pair in steps.items():
                row = await _row(what, *pair)
                rows.append(row)
                if row.missed:
                    times = 20 if "streamed" in what else 500
                    profiles[f"{what} with `resilience`"] = await profile(pair[0], times)
    return Subject("Resilience", ABOUT, rows, profiles)


async def _row(what: str, guarded: Step, plain: Step) -> Row:
    times = ANSWERS if "streamed" in what else CALLS
    at_once = MANY if str(MANY) in what else 1
    samples = {
        "with": costed(guarded, times, at_once=at_once),
        "without": costed(plain, times, at_once=at_once),
    }
    taken = await interleave(samples, ROUNDS)
    with_it, without = ([cost.time for cost in taken[name]] for name in ("with", "without"))
    return compare(f"{what}, with `resilience`", with_it, ("without", without), TENTH_MORE)
