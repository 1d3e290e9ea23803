"""What `make bench` runs: every subject, a table on stdout, and `docs/benchmarks.md`.

With names of subjects (`run.py turns`) only these, and the page is left as it is.
"""

from __future__ import annotations

import asyncio
import sys
import time
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUBJECTS = (
    "start_up",
    "turns",
    "logged",
    "tokens",
    "memory",
    "calls",
    "streaming",
    "resilient",
    "crowd",
    "contexts",
    "kept",
    "container",
    "events",
    "listened",
    "scripted",
    "resolved",
    "ingested",
    "vectors",
    "million",
    "remembered",
)


async def main(names: list[str]) -> None:
    """Measure, print, write."""
    sys.path.insert(0, str(ROOT))  # a script sees its own folder only
    from tests.benchmarks.page import page, table

    subjects = []
    for name in names or SUBJECTS:
        began = time.monotonic()
        subjects.append(await import_module(f"tests.benchmarks.{name}").measure())
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    print(table(subjects))
    if names:
        for title, text in (i for subject in subjects for i in subject.profiles.items()):
            print(f"\n{title}\n\n{text}")
    else:
        (ROOT / "docs" / "benchmarks.md").write_text(page(subjects), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
