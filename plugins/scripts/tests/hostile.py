"""Hostile scripts: what they try, and how each engine ends them.

The table in docs/scripts.md is made of this one: `python -m plugins.scripts.tests.hostile` writes
it anew. An outcome is the name of an error, two where the machine's speed decides which comes
first, or `harmless`: the script came to its end and had nothing of what it was after.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "scripts.md"
START = "<!-- written by plugins/scripts/tests/hostile.py -->\n"
END = "<!-- end of what it wrote -->"
HARMLESS = "harmless"
OUTCOMES = {
    "failed": "ScriptFailed",
    "syntax": "ScriptSyntaxError",
    "time": "ScriptTimeout",
    "memory": "ScriptMemory",
    "depth": "ScriptRecursion",
    "output": "ScriptOutputTooLong",
    "calls": "ScriptTooManyCalls",
    HARMLESS: HARMLESS,
}


class Hostile(NamedTuple):
    """A script, and the outcomes that each engine may give it."""

    tries: str
    source: str
    monty: tuple[str, ...]
    restricted: tuple[str, ...]


def _hostile(tries: str, monty: str, restricted: str, source: str) -> Hostile:
    outcomes = [tuple(OUTCOMES[o] for o in text.split(" or ")) for text in (monty, restricted)]
    return Hostile(tries, source, *outcomes)


_WRITTEN = re.compile(r"^== (.+) == (.+) == (.+)\n((?:(?!==|#).*\n)*)", re.MULTILINE)
SCRIPTS = [
    *(_hostile(*found) for found in _WRITTEN.findall((HERE / "hostile.txt").read_text("utf-8"))),
    _hostile("parentheses, 5,000 deep", "syntax", "syntax", "(" * 5000 + ")" * 5000),
    _hostile("brackets, 100,000 deep", "syntax", "syntax", "[" * 100_000 + "]" * 100_000),
    _hostile("minus signs, 100,000", "syntax", "memory", "-" * 100_000 + "1"),
    _hostile("attributes, 50,000 deep", "syntax", "depth", "name" + ".x" * 50_000),
    _hostile(
        "`if`s, 99 deep",
        "harmless",
        "depth",
        "".join(" " * n + "if 1:\n" for n in range(99)) + " " * 99 + "pass",
    ),
    _hostile("lambdas, 10,000 deep", "syntax", "memory", "lambda: " * 10_000 + "1"),
    _hostile("a source of 10 MB", "syntax", "syntax", "x = 1\n" * 1_700_000),
    _hostile("a source with NUL", "syntax", "syntax", "x = 1\0"),
    _hostile("a source with half a surrogate pair", "syntax", "syntax", "x = '\ud800'"),
]


def table() -> str:
    """Markdown of what they try and how they end."""
    rows = [
        f"| {number} | {script.tries} | {_shown(script.monty)} | {_shown(script.restricted)} |\n"
        for number, script in enumerate(SCRIPTS, 1)
    ]
    return "| | it tries | `monty` | `restricted` |\n|---:|---|---|---|\n" + "".join(rows)


def _shown(outcomes: tuple[str, ...]) -> str:
    return " or ".join(o if o == HARMLESS else f"`{o}`" for o in outcomes)


def page(text: str) -> str:
    """The page with this table in its place."""
    before, _, rest = text.partition(START)
    return f"{before}{START}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
