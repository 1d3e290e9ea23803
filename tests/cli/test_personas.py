"""`dovetail chat --persona` and `--trace`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command
    from tests.support.distributions import Distributions

STAGES = '''
from dovetail import Stage, StageExecutor, hookimpl

class Greets(StageExecutor):
    """Puts a greeting into the prompt."""
    stage = Stage.TEMPLATE

    async def execute(self, turn):
        turn.prompts.set_stage_prompt(1, "Hello. " + turn.template)
        data = {"module": "greeting", "kind": "simple", "stage": "template"}
        await turn.tell("module_complete", {**data, "seconds": 0.0015, "error": None})

class Reflects(StageExecutor):
    stage = Stage.POST_RESPONSE_AI

    async def execute(self, turn):
        data = {"module": "mood", "kind": "ai", "stage": "post_response_ai"}
        for text in ("all ", "is\\x1b[2J well"):
            await turn.tell("module_chunk", {**data, "text": text})
        await turn.tell("module_complete", {**data, "seconds": 1.5, "error": "Timeout"})
        raise ValueError("no thought")

@hookimpl
def stage_executors():
    return [Greets, Reflects]
'''

CONFIG = """
[chat]
model = "parrot/grey"

[providers.parrot]

[plugins.stages]

[personas.sage]
template = "Be wise."

[personas.fool]
file = "fool.md"
"""


@pytest.fixture(autouse=True)
def _stages(parrot: Distributions, folder: Path) -> None:
    parrot.add("stages", STAGES)
    (folder / "dovetail.toml").write_text(CONFIG)
    (folder / "fool.md").write_text("Jest.\nAlways.\n")


def test_a_persona_answers(dovetail: Command) -> None:
    done = dovetail("chat", "-p", "sage", "recall")
    assert done.out == "system: Hello. Be wise. | user: recall\n"
    done = dovetail("chat", "--persona", "fool", "recall")
    assert done.out == "system: Hello. Jest.\nAlways. | user: recall\n"


def test_an_unknown_persona_is_told_with_the_nearest(dovetail: Command) -> None:
    done = dovetail("chat", "-p", "saeg", "hi")
    assert (done.code, done.out) == (1, "")
    assert "there is no persona `saeg` (personas: `sage`, `fool`); did you mean `sage`?" in done.err


def test_the_stages_are_shown_beside_the_answer(dovetail: Command) -> None:
    done = dovetail("chat", "--trace", "-p", "sage", "hi")
    assert done.out == "hi\n"
    shown = done.err
    for line in (
        "template\n├ greeting (simple) 1.5 ms\n└ ",
        "\n\npost_response_ai\n│ mood: all is[2J well\n├ mood (ai) 1.50 s ✗ Timeout\n",
        "prompt after template\n│ Hello. Be wise.\n",
    ):
        assert line in shown
    assert "\x1b[2J" not in shown


def test_without_trace_nothing_is_shown(dovetail: Command) -> None:
    assert "template" not in dovetail("chat", "-p", "sage", "hi").err
