"""From what was measured to `docs/benchmarks.md`."""

from __future__ import annotations

import os
import platform
import textwrap
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.harness import Row, Subject

PACKAGES = (
    "dovetail",
    "aiohttp",
    "asyncpg",
    "chromadb",
    "click",
    "dishka",
    "httpx",
    "httpx-aiohttp",
    "langchain-core",
    "langgraph-checkpoint",
    "langgraph-checkpoint-postgres",
    "langgraph-checkpoint-sqlite",
    "litellm",
    "llm",
    "numpy",
    "openai",
    "pluggy",
    "prometheus-client",
    "punq",
    "pydantic",
    "pydantic-ai-slim",
    "redis",
    "sniffio",
    "structlog",
    "xllamacpp",
)
INTRODUCTION = """\
# Benchmarks

`make bench` measured this and wrote this page. Each row sets dovetail beside its peer in one run:
rounds of both in turn, and the medians of these. Machines differ, so goals are ratios, ours by the
peer's. A goal that is missed stays on the page, with a profile of where the time goes.
"""


def table(subjects: Sequence[Subject]) -> str:
    """All rows in one Markdown table."""
    lines = ["| what | ours | peer | ratio | goal | met |", "|---|---:|---:|---:|---:|---|"]
    lines += [_line(row) for subject in subjects for row in subject.rows]
    return "\n".join(lines)


def page(subjects: Sequence[Subject]) -> str:
    """The whole page."""
    parts = [INTRODUCTION, table(subjects), "## The machine", machine(), "## How it is measured"]
    parts += [_wrap(f"**{subject.title}.** {subject.about}") for subject in subjects]
    for subject in subjects:
        for title, text in subject.figures.items():
            parts += [f"## {title}", text]
    for subject in subjects:
        for title, text in subject.profiles.items():
            parts += [f"## Profile: {title}", text]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def machine() -> str:
    """What it ran on; nothing that tells where."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return "\n".join(
        [
            f"- {datetime.now(UTC):%Y-%m-%d}, {platform.system()} {platform.machine()}",
            f"- {os.cpu_count()} cores, {_cpu()}",
            f"- load average at the end: {os.getloadavg()[0]:.1f}",
            f"- {platform.python_implementation()} {platform.python_version()}",
            f"- {versions}",
        ]
    )


def _wrap(text: str) -> str:
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def _line(row: Row) -> str:
    shown = f"1/{1 / row.ratio:.1f}" if row.ratio < 0.5 else f"{row.ratio:.2f}"
    goal = row.goal.text if row.goal else ""
    met = "" if row.goal is None else "no" if row.missed else "yes"
    return f"| {row.what} | {row.ours} | {row.peer} | {shown} | {goal} | {met} |"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
