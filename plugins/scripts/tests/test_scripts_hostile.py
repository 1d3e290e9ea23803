"""Hostile scripts are stopped within their limits, and the same engine serves the next one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dovetail_scripts import ScriptError, ScriptLimits
from plugins.scripts.tests.hostile import HARMLESS, PAGE, SCRIPTS, Hostile, page

if TYPE_CHECKING:
    from plugins.scripts.tests.conftest import Host, Scripts

JUST_REFUSED = ("ScriptFailed", "ScriptSyntaxError")
"""After these the next row is proof enough: `restricted` starts a process for each script."""
MARK = Path("/tmp/dovetail-was-here")
"""What some of them try to write."""


def limits_for(expected: tuple[str, ...], source: str) -> ScriptLimits:
    """Little time where that is what stops it, else so much that a busy machine has enough."""
    time = 0.15 if "ScriptTimeout" in expected else 20.0
    total = 0.5 if source.strip() == "slow()" else 30.0
    return ScriptLimits(time=time, total=total, output=10_000, calls=20, recursion=100)


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.tries for script in SCRIPTS])
async def test_is_stopped_and_the_next_is_served(
    script: Hostile, scripts: Scripts, host: Host
) -> None:
    engine = scripts.engine.settings.engine
    expected = script.monty if engine == "monty" else script.restricted
    inputs = {"name": "Ada", "data": {"list": [1, 2]}}
    async with asyncio.timeout(40):
        try:
            await scripts.run(
                script.source,
                inputs=inputs,
                functions=host.functions(),
                limits=limits_for(expected, script.source),
            )
            outcome, told = HARMLESS, ""
        except ScriptError as error:
            outcome, told = type(error).__name__, str(error)
        if engine == "monty" or outcome not in JUST_REFUSED:
            after = await scripts.run("a = generate('joints')", functions=host.functions())
            assert after.variables == {"a": "about joints"}
    assert outcome in expected, told
    assert len(told) < 1000
    assert "\x1b" not in told
    assert "root:" not in told
    assert inputs == {"name": "Ada", "data": {"list": [1, 2]}}
    assert host.secrets == {"a": [1]}


def test_nothing_that_they_tried_to_write_is_there() -> None:
    assert not MARK.exists()


def test_there_are_fifty_and_more_and_each_is_told_once() -> None:
    assert len({script.tries for script in SCRIPTS}) == len(SCRIPTS) >= 50


def test_the_page_lists_them_all_as_they_end_here() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text), "write it anew: python -m plugins.scripts.tests.hostile"
