"""What the `logging` middleware adds to a turn, beside a bare structlog line."""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from dovetail import Kernel
from tests.benchmarks import turns
from tests.benchmarks.harness import Goal, Subject, compare, interleave, profile, timed

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

    from tests.benchmarks.harness import Row, Step

ROUNDS = 41
TURNS = 300

TWICE = Goal(2.0, "≤ 2")
ABOUT = f"""\
A turn with `[[middleware]] use = "logging"` that writes to a file, less the same turn without it:
the median of the differences of {ROUNDS} rounds of {TURNS} turns each. The bare line has the same
fields, level and time, the same renderer, and goes to a file by structlog's own `WriteLogger`."""

_encode = json.JSONEncoder(separators=(",", ":"), default=repr).encode


async def measure() -> Subject:
    """JSON first, which tells the fields of a line, then colour."""
    rows, profiles = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for look in ("json", "colour"):
            row, text = await measure_format(look, Path(folder))
            rows.append(row)
            if text:
                profiles[f"a turn with a {look} line"] = text
    return Subject("Logging", ABOUT, rows, profiles)


async def measure_format(look: str, folder: Path) -> tuple[Row, str]:
    """The row of one format, and a profile if its goal is missed."""
    file = folder / f"{look}.log"
    logging: dict[str, object] = {"use": "logging", "file": str(file), "format": look}
    with_it = kernel({**turns.CONFIG, "middleware": [logging]})
    without = kernel(turns.CONFIG)
    async with with_it, without:
        await with_it.chat("hi")
        fields = _fields(folder / "json.log")
        with (folder / f"{look}.bare").open("a", encoding="utf-8") as bare:
            line = bare_line(look, bare, fields)
            plain: Step = lambda _: without.chat("hi")  # noqa: E731 - a name beside the others
            logged: Step = lambda _: with_it.chat("hi")  # noqa: E731 - as above
            taken = await interleave(
                {
                    "without": timed(plain, TURNS),
                    "with": timed(logged, TURNS),
                    "bare": timed(line, TURNS),
                },
                ROUNDS,
            )
        added = [b - a for a, b in zip(taken["without"], taken["with"], strict=True)]
        turn = statistics.median(taken["without"]) * 1e6
        row = compare(
            f"logging a turn as {look} (the turn itself: {turn:.0f} µs)",
            added,
            ("bare structlog line", taken["bare"]),
            TWICE,
        )
        return row, await profile(logged, 2000) if row.missed else ""


def kernel(config: dict[str, object]) -> Kernel:
    """A kernel with the fake providers and whatever is installed."""
    return Kernel.open(config, env={}).register("bench", turns)


def bare_line(look: str, file: Any, fields: dict[str, Any]) -> Step:
    """A step that writes one line with `fields`, and does nothing else."""
    colour = structlog.dev.ConsoleRenderer(0, colors=True, sort_keys=False, pad_level=False)
    renderer: Processor = _json if look == "json" else colour
    log = structlog.wrap_logger(
        structlog.WriteLogger(file),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
    ).bind()

    async def step(_: int) -> None:
        log.info("chat", **fields)

    return step


def _json(_logger: WrappedLogger, _method: str, fields: EventDict) -> str:
    return _encode(fields)


def _fields(file: Path) -> dict[str, Any]:
    """The fields of the last line, without those that structlog adds itself."""
    fields: dict[str, Any] = json.loads(file.read_text(encoding="utf-8").splitlines()[-1])
    return {k: v for k, v in fields.items() if k not in ("event", "level", "timestamp")}
