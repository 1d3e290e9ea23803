"""The stages around a turn's answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from dovetail import (
    ChatProvider,
    ChatRequest,
    EventProvider,
    ExecutionContext,
    FinishReason,
    Middleware,
    SessionStatus,
    Stage,
    StageCall,
    StageError,
    StageExecutor,
    StartError,
    StreamingChunk,
    Turn,
)
from dovetail.events.catalogue import KINDS
from tests.support.kernels import kernel_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

done: list[str] = []
told: list[tuple[str, Any]] = []


@pytest.fixture(autouse=True)
def _begin() -> None:
    done.clear()
    told.clear()


class Says(ChatProvider):
    """Answers with the system prompt, or waits after a word."""

    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncIterator[StreamingChunk]:
        done.append("answer")
        system = " | ".join(m.text for m in request.messages if m.role == "system")
        yield StreamingChunk(text=system or "nothing")
        if request.messages[-1].text == "wait":
            await asyncio.Event().wait()


class Listens(EventProvider):
    events = ("stage_*",)

    async def handle_event(self, event: str, data: Any) -> None:
        told.append((event, data))


class Template(StageExecutor):
    stage = Stage.TEMPLATE

    async def execute(self, turn: Turn) -> str:
        done.append("template")
        turn.variables["seen"] = turn.template
        turn.prompts.set_stage_prompt(1, turn.template.upper())
        return "made"


class Before(StageExecutor):
    stage = Stage.PRE_RESPONSE
    requires_ai = True

    async def execute(self, turn: Turn) -> None:
        done.append("before")
        turn.prompts.set_stage_prompt(2, turn.prompts.get_prompt_for_stage(1) + "!")


class After(StageExecutor):
    stage = Stage.POST_RESPONSE

    async def execute(self, turn: Turn) -> None:
        assert turn.response is not None
        done.append(f"after {turn.response.text}")
        if turn.session is not None:
            turn.session.state["n"] = turn.session.state.get("n", 0) + 1
            turn.state_changed = True


class Last(StageExecutor):
    stage = Stage.POST_RESPONSE_AI

    async def execute(self, turn: Turn) -> None:
        done.append("last")


PERSONA: dict[str, Any] = {
    "personas": {"sage": {"template": "be wise"}},
    "chat": {"model": "says", "persona": "sage"},
}


async def test_a_turn_goes_through_five_stages() -> None:
    async with kernel_of(Says, Template, Before, After, Last, **PERSONA) as kernel:
        reply = await kernel.chat("hi")
    assert reply.text == "BE WISE!"
    assert done == ["template", "before", "answer", "after BE WISE!", "last"]


async def test_a_stream_goes_through_them_too() -> None:
    async with (
        kernel_of(Says, Template, Before, After, Last, **PERSONA) as kernel,
        kernel.stream("hi") as stream,
    ):
        assert [chunk.text async for chunk in stream] == ["BE WISE!"]
        assert done == ["template", "before", "answer", "after BE WISE!", "last"]


async def test_what_stages_leave_is_there_for_those_that_follow() -> None:
    seen: list[Turn] = []

    class Looks(StageExecutor):
        stage = Stage.POST_RESPONSE_AI

        async def execute(self, turn: Turn) -> None:
            seen.append(turn)

    async with kernel_of(Says, Template, Before, Looks, **PERSONA) as kernel:
        await kernel.chat("hi", user="ann")
    [turn] = seen
    assert turn.variables == {"seen": "be wise"}
    assert turn.results[Stage.TEMPLATE][0].value == "made"
    assert turn.prompts.get_all_stages() == {1: "BE WISE", 2: "BE WISE!"}
    assert (turn.persona_id, turn.context.user_id) == ("sage", "ann")


async def test_the_lowest_priority_works_first_and_equals_side_by_side() -> None:
    class Slow(StageExecutor):
        stage = Stage.TEMPLATE
        together: ClassVar[asyncio.Barrier]

        async def execute(self, turn: Turn) -> None:
            await self.together.wait()
            done.append("slow")

    class Slow2(Slow):
        pass

    class Early(Slow):
        priority = -1

        async def execute(self, turn: Turn) -> None:
            done.append("early")

    class Late(Early):
        priority = 1

        async def execute(self, turn: Turn) -> None:
            done.append("late")

    Slow.together = asyncio.Barrier(2)
    async with kernel_of(Says, Late, Slow, Slow2, Early) as kernel:
        await kernel.chat("hi")
    assert done == ["early", "slow", "slow", "late", "answer"]


@pytest.mark.parametrize("stage", [s for s in Stage if s is not Stage.RESPONSE])
async def test_one_that_fails_is_left_out(stage: Stage) -> None:
    class Fails(StageExecutor):
        async def execute(self, turn: Turn) -> None:
            raise ValueError("no such joint")

    Fails.stage = stage
    async with kernel_of(Says, Listens, Fails) as kernel:
        assert (await kernel.chat("hi", session="s")).text == "nothing"
        session = await kernel.sessions.get_session("s")
    assert session is not None
    assert session.message_count == 2
    [end] = [data for event, data in told if event == "stage_complete"]
    assert (end["stage"], end["failed"], end["error"]) == (stage.label, ["fails"], None)


@pytest.mark.parametrize("stage", [s for s in Stage if s is not Stage.RESPONSE])
async def test_one_that_is_required_fails_the_turn(stage: Stage) -> None:
    class Fails(StageExecutor):
        required = True

        async def execute(self, turn: Turn) -> None:
            raise ValueError("no such joint")

    Fails.stage = stage
    async with kernel_of(Says, Listens, Fails) as kernel:
        with pytest.raises(StageError, match="`fails`, which is required, failed") as caught:
            await kernel.chat("hi", session="s")
        session = await kernel.sessions.get_session("s")
    assert caught.value.stage is stage
    answered = stage > Stage.RESPONSE
    assert (session is not None) is answered
    response = caught.value.response
    assert (response is not None and response.text == "nothing") is answered


async def test_a_stage_that_takes_too_long_is_cut_off() -> None:
    class Hangs(StageExecutor):
        stage = Stage.PRE_RESPONSE

        async def execute(self, turn: Turn) -> None:
            await asyncio.Event().wait()

    limit = {"pipeline": {"stage_timeout": "50ms"}}
    async with kernel_of(Says, Hangs, Listens, **limit) as kernel:
        assert (await kernel.chat("hi")).text == "nothing"
    [end] = [data for event, data in told if event == "stage_complete"]
    assert end["failed"] == ["hangs"]
    Hangs.required = True
    async with kernel_of(Says, Hangs, **limit) as kernel:
        with pytest.raises(StageError, match=r"the stage took longer than 0\.05 s"):
            await kernel.chat("hi")


async def test_a_cancel_that_nobody_asked_for_is_a_failure_like_any_other() -> None:
    class Cancels(StageExecutor):
        stage = Stage.TEMPLATE

        async def execute(self, turn: Turn) -> None:
            raise asyncio.CancelledError

    async with kernel_of(Says, Cancels) as kernel:
        assert (await kernel.chat("hi")).text == "nothing"


@pytest.mark.parametrize("stage", [s for s in Stage if s is not Stage.RESPONSE])
async def test_a_turn_can_be_cancelled_in_every_stage(stage: Stage) -> None:
    there = asyncio.Event()

    class Waits(StageExecutor):
        async def execute(self, turn: Turn) -> None:
            there.set()
            await asyncio.Event().wait()

    Waits.stage = stage
    async with kernel_of(Says, Waits, After) as kernel:
        turn = asyncio.create_task(kernel.chat("hi", session="s"))
        await there.wait()
        [run] = kernel.runs.runs()
        assert (run.stage, run.status) == (stage.label, SessionStatus.RUNNING)
        assert kernel.runs.cancel_session("s")
        reply = await turn
        session = await kernel.sessions.get_session("s")
    if stage < Stage.RESPONSE:
        assert reply.finish_reason is FinishReason.CANCELLED
        assert session is None
    else:
        assert (reply.text, reply.finish_reason) == ("nothing", FinishReason.STOP)
        assert session is not None
        assert session.message_count == 2
        assert session.state == {"n": 1}


async def test_the_run_says_which_stage_it_is_in() -> None:
    stages: list[str] = []

    class Looks(Middleware):
        async def stage(
            self, call: StageCall, call_next: Callable[[StageCall], Awaitable[None]]
        ) -> None:
            [run] = kernel.runs.runs()
            stages.append(run.stage)
            await call_next(call)

    async with kernel_of(Says, Template, Before, After, Last, Looks, **PERSONA) as kernel:
        await kernel.chat("hi")
    assert stages == ["template", "pre_response", "post_response", "post_response_ai"]


async def test_middleware_may_leave_a_stage_out() -> None:
    class Skips(Middleware):
        async def stage(
            self, call: StageCall, call_next: Callable[[StageCall], Awaitable[None]]
        ) -> None:
            if call.stage is not Stage.POST_RESPONSE:
                await call_next(call)

        async def after_stage(self, call: StageCall, result: None) -> None:
            done.append(f"noted {call.stage.label}")

    async with kernel_of(Says, Template, After, Skips, **PERSONA) as kernel:
        await kernel.chat("hi")
    assert done == ["template", "noted template", "answer", "noted post_response"]


async def test_each_stage_is_told_of() -> None:
    async with kernel_of(Says, Listens, Template, After, **PERSONA) as kernel:
        await kernel.chat("hi", session="s", user="ann")
    names = [(event, data["stage"]) for event, data in told]
    assert names == [
        ("stage_start", "template"),
        ("stage_complete", "template"),
        ("stage_start", "post_response"),
        ("stage_complete", "post_response"),
    ]
    for event, data in told:
        kind = next(kind for kind in KINDS if kind.name == event)
        assert data.keys() == set(kind.fields)
        assert (data["session_id"], data["user_id"], data["persona_id"]) == ("s", "ann", "sage")
    assert told[1][1]["prompt"] == "BE WISE"


async def test_the_state_that_a_stage_leaves_is_there_in_the_next_turn() -> None:
    async with kernel_of(Says, After) as kernel:
        for count in (1, 2, 3):
            await kernel.chat("hi", session="s")
            session = await kernel.sessions.get_session("s")
            assert session is not None
            assert session.state == {"n": count}


async def test_state_that_others_save_meanwhile_is_not_lost() -> None:
    class Meets(After):
        async def execute(self, turn: Turn) -> None:
            await super().execute(turn)
            other = await kernel.sessions.get_session("s", last=0)
            assert other is not None
            other.state["theirs"] = True
            await kernel.sessions.update_session(other)

    async with kernel_of(Says, Meets) as kernel:
        await kernel.chat("hi", session="s")
        await kernel.chat("hi", session="s")
        session = await kernel.sessions.get_session("s")
    assert session is not None
    assert session.state == {"n": 2, "theirs": True}


async def test_stages_after_the_answer_may_go_on_in_the_background() -> None:
    go = asyncio.Event()

    class Waits(After):
        async def execute(self, turn: Turn) -> None:
            await go.wait()
            await super().execute(turn)

    background = {"pipeline": {"after": "background"}}
    async with kernel_of(Says, Waits, **background) as kernel:
        assert (await kernel.chat("hi", session="s")).text == "nothing"
        async with kernel.stream("hi", session="t") as stream:
            assert [chunk.text async for chunk in stream] == ["nothing"]
        assert done == ["answer", "answer"]
        assert kernel.runs.get_active_session_count() == 2
        later = asyncio.create_task(kernel.chat("hi", session="s"))
        await asyncio.sleep(0)
        go.set()
        await later
    assert done.count("after nothing") == 3


async def test_a_caller_that_goes_away_after_the_answer_harms_nothing() -> None:
    there = asyncio.Event()
    go = asyncio.Event()

    class Waits(After):
        async def execute(self, turn: Turn) -> None:
            there.set()
            await go.wait()
            await super().execute(turn)

    async with kernel_of(Says, Waits) as kernel:
        turn = asyncio.create_task(kernel.chat("hi", session="s"))
        await there.wait()
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        go.set()
        await kernel.chat("hi", session="s")
        session = await kernel.sessions.get_session("s")
    assert session is not None
    assert session.state == {"n": 2}


async def test_an_executor_must_say_its_stage() -> None:
    class Lost(StageExecutor):
        async def execute(self, turn: Turn) -> None: ...

    class Answers(Lost):
        stage = Stage.RESPONSE

    for cls in (Lost, Answers):
        with pytest.raises(StartError, match=r"`\w+.stage` should be one of Stage.TEMPLATE"):
            await kernel_of(Says, cls).start()


async def test_without_stages_a_turn_has_none() -> None:
    async with kernel_of(Says, Listens) as kernel:
        assert (await kernel.chat("hi")).text == "nothing"
    assert told == []
