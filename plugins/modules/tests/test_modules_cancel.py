"""Cancelling a turn in any of its stages, with a model in mid-answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import SessionStatus
from dovetail.testing import Gate

if TYPE_CHECKING:
    from plugins.modules.tests.world import World

BEFORE = '+++\nkind = "ai"\n+++\nbefore'
AFTER = '+++\nkind = "ai"\ntiming = "post_response"\ninitial = "-"\n+++\nafter'
SCRIPT = """\
# /// module
# requires_ai = false
# timing = "{}"
# ///
set_state("n", 1)
generate("x")
"""
SEEN = """\
# /// module
# scope = "user"
# ///
set_state("seen", get_state("seen", 0) + 1)
"""


def in_stage(world: World, stage: int, gate: Gate) -> None:
    """Modules for every stage, of which that in `stage` meets a model that waits."""
    waits: list[Any] = ["some ", gate, "more"]
    replies: dict[int, Any] = dict.fromkeys((1, 2, 3, 4, 5), "text")
    replies[stage] = waits
    world.write(
        one_py=SCRIPT.format("immediate"),
        two_md=BEFORE,
        four_py=SCRIPT.format("post_response"),
        five_md=AFTER,
    )
    world.model.will_say(*(replies[number] for number in sorted(replies)))


@pytest.mark.parametrize("stage", [1, 2, 3, 4, 5])
async def test_a_turn_is_cancelled_in_each_stage(world: World, stage: int) -> None:
    gate = Gate()
    in_stage(world, stage, gate)
    async with world.kernel("@one @two @four @five") as kernel:
        turn = asyncio.create_task(kernel.chat("Hello", session="s"))
        await gate.reached()
        (run,) = kernel.runs.runs()
        assert (
            run.stage
            == (
                "template",
                "pre_response",
                "response",
                "post_response",
                "post_response_ai",
            )[stage - 1]
        )
        assert kernel.runs.cancel_session("s")
        response = await turn
        assert world.model.calls[-1].closed
        assert not world.model.calls[-1].finished
        assert len(world.model.calls) == stage
        kept = await kernel.sessions.get_session("s")
        assert (kept is not None) == (stage >= 3)
        assert str(response.finish_reason) == ("cancelled" if stage < 4 else "stop")
        status = SessionStatus.CANCELLED if stage < 4 else SessionStatus.COMPLETED
        assert kernel.runs.get_session_status("s") is status
        world.model.will_say(*("text",) * 5)
        assert (await kernel.chat("Hello", session="s")).text == "text"


@pytest.mark.parametrize("stage", [4, 5])
async def test_what_was_kept_before_the_cancel_stays(world: World, stage: int) -> None:
    gate = Gate()
    in_stage(world, stage, gate)
    world.write(user_py=SEEN)
    async with world.kernel("@one @two @four @five @user") as kernel:
        turn = asyncio.create_task(kernel.chat("Hello", session="s", user="ada"))
        await gate.reached()
        kernel.runs.cancel_session("s", user_id="ada")
        await turn
        kept = await kernel.sessions.get_session("s", user_id="ada")
        users = await kernel.sessions.get_session("~modules/ada", user_id="ada")
    assert kept is not None
    assert kept.state["modules"]["values"] == {"n": 1}
    assert ("four" in kept.state["modules"].get("left", {})) == (stage == 5)
    assert users is not None
    assert users.state["modules"]["values"] == {"seen": 1}


async def test_what_a_model_told_a_module_is_never_the_answer(world: World) -> None:
    gate = Gate()
    world.write(first_md=BEFORE, second_md=f"{BEFORE}\n@first")
    world.model.will_say("of a module", [gate, "more"])
    async with world.kernel("@second") as kernel:
        turn = asyncio.create_task(kernel.chat("Hello", session="s"))
        await gate.reached()
        kernel.runs.cancel_session("s")
        response = await turn
        assert (response.text, str(response.finish_reason)) == ("", "cancelled")
        assert await kernel.sessions.get_session("s") is None


async def test_a_caller_who_leaves_takes_the_stages_before_the_answer_along(world: World) -> None:
    gate = Gate()
    in_stage(world, 2, gate)
    async with world.kernel("@one @two") as kernel:
        turn = asyncio.create_task(kernel.chat("Hello", session="s"))
        await gate.reached()
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        assert world.model.calls[-1].closed
        assert not kernel.runs.runs()


async def test_after_the_answer_modules_work_in_the_background_if_it_is_said(world: World) -> None:
    gate = Gate()
    in_stage(world, 5, gate)
    async with world.kernel("@five", tables={"pipeline": {"after": "background"}}) as kernel:
        world.model.replies.clear()
        world.model.will_say("answer", [gate, "learnt"], "second")
        assert (await kernel.chat("Hello", session="s")).text == "answer"
        following = asyncio.create_task(kernel.chat("Hello", session="s"))
        await gate.reached()
        assert not following.done()
        gate.open()
        assert (await following).text == "second"
    assert world.prompts() == ["-", "learnt"]


async def test_closing_the_kernel_ends_what_works(world: World) -> None:
    gate = Gate()
    in_stage(world, 2, gate)
    async with world.kernel("@one @two") as kernel:
        turn = asyncio.create_task(kernel.chat("Hello"))
        await gate.reached()
    await asyncio.wait([turn], timeout=10)
    assert turn.done()
    assert world.model.calls[-1].closed
