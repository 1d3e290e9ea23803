"""What `metrics` and three more event providers add to a turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dovetail import EventProvider, Kernel
from dovetail.testing import plugin_of
from tests.benchmarks import turns
from tests.benchmarks.harness import Goal, Subject, compare, interleave, profile, timed

if TYPE_CHECKING:
    from tests.benchmarks.harness import Row, Step

ROUNDS = 41
TURNS = 200

HALF_AS_MUCH_AGAIN = Goal(1.5, "≤ 1.5")
ABOUT = f"""\
An instant turn with `[providers.metrics]` and three event providers that do nothing on every
`agent_start` and `agent_complete`, all told inline, beside the same turn without any. "Sessions of
10 turns" keeps every turn and begins a new session after ten. {ROUNDS} rounds of {TURNS} turns."""


class First(EventProvider):
    """Is told of every turn, and does nothing."""

    events = ("agent_start", "agent_complete")

    async def handle_event(self, event: str, data: Any) -> None:
        """Do nothing."""


class Second(First):
    """One more."""


class Third(First):
    """One more."""


LISTENERS = (First, Second, Third)


async def measure() -> Subject:
    """Turns without a session, and in sessions."""
    listening: dict[str, object] = {
        "metrics": {},
        **{cls.name: {"use": f"listeners:{cls.name}"} for cls in LISTENERS},
    }
    subject = Subject("Events of turns", ABOUT, [])
    async with kernel({}) as alone, kernel(listening) as listened:
        steps = {
            "no session": (_turn(alone), _turn(listened)),
            "sessions of 10 turns": (_ten_turns(alone), _ten_turns(listened)),
        }
        samples = {}
        for name, (without, with_them) in steps.items():
            samples[f"{name}, without"] = timed(without, TURNS)
            samples[f"{name}, with"] = timed(with_them, TURNS)
        taken = await interleave(samples, ROUNDS)
        for name, (_, with_them) in steps.items():
            row = _row(name, taken)
            subject.rows.append(row)
            if row.missed:
                subject.profiles[row.what] = await profile(with_them, 2000)
    return subject


def kernel(listening: dict[str, object]) -> Kernel:
    """A kernel with the fake provider, and whoever listens."""
    providers = {"streams": {"use": "bench:streams"}, **listening}
    config = {"chat": {"model": "streams"}, "providers": providers}
    made = Kernel.open(config, env={}).register("bench", turns)
    return made.register("listeners", plugin_of(*LISTENERS))


def _row(name: str, taken: dict[str, list[float]]) -> Row:
    without = ("without them", taken[f"{name}, without"])
    return compare(
        f"turn: {name}, with `metrics` and three more",
        taken[f"{name}, with"],
        without,
        HALF_AS_MUCH_AGAIN,
    )


def _turn(opened: Kernel) -> Step:
    return lambda _: opened.chat("hi")


def _ten_turns(opened: Kernel) -> Step:
    return lambda number: opened.chat("hi", session=f"s-{number // 10}")
