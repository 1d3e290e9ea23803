"""Stages that are stopped: by a cancel, by their limit, by the end of the kernel."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from dovetail import (
    Answer,
    ChatMessage,
    ChatProvider,
    ChatRequest,
    EventProvider,
    ExecutionContext,
    FinishReason,
    Middleware,
    SessionConflict,
    SessionError,
    Stage,
    StageCall,
    StageError,
    StageExecutor,
    StreamingChunk,
    Turn,
    TurnCall,
)
from dovetail.sessions.memory import MemorySessionStore
from tests.support.kernels import kernel_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from dovetail import Session

done: list[str] = []


@pytest.fixture(autouse=True)
def _begin() -> None:
    done.clear()


class Says(ChatProvider):
    """Says a word, and then, if it is asked to, waits for ever."""

    async def send_message_stream(
        self, request: ChatRequest, context: ExecutionContext
    ) -> AsyncIterator[StreamingChunk]:
        done.append("answer")
        yield StreamingChunk(text="word")
        if request.messages[-1].text == "wait":
            await asyncio.Event().wait()


class Counts(StageExecutor):
    """Counts the turns that began."""

    stage = Stage.TEMPLATE

    async def execute(self, turn: Turn) -> None:
        assert turn.session is not None
        turn.session.state["n"] = turn.session.state.get("n", 0) + 1
        turn.state_changed = True


class Stubborn(StageExecutor):
    """Makes an error of its own of a cancel, or goes on as if there had been none."""

    stage = Stage.TEMPLATE
    raises = True
    there: asyncio.Event

    async def execute(self, turn: Turn) -> None:
        self.there.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            if self.raises:
                raise RuntimeError("connection lost") from error


class Follows(StageExecutor):
    stage = Stage.TEMPLATE
    priority = 1

    async def execute(self, turn: Turn) -> None:
        done.append("follows")


@pytest.mark.parametrize("raises", [True, False])
async def test_nothing_follows_what_swallows_a_cancel(
    raises: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stubborn, "raises", raises)
    monkeypatch.setattr(Stubborn, "there", asyncio.Event(), raising=False)
    async with kernel_of(Says, Stubborn, Follows) as kernel:
        turn = asyncio.create_task(kernel.chat("hi", session="s"))
        await Stubborn.there.wait()
        assert kernel.runs.cancel_session("s")
        assert (await turn).finish_reason is FinishReason.CANCELLED
    assert done == []


@pytest.mark.parametrize("raises", [True, False])
async def test_nothing_follows_what_swallows_the_end_of_its_stage(
    raises: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stubborn, "raises", raises)
    monkeypatch.setattr(Stubborn, "there", asyncio.Event(), raising=False)
    async with kernel_of(Says, Stubborn, Follows, pipeline={"stage_timeout": "20ms"}) as kernel:
        assert (await kernel.chat("hi")).text == "word"
    assert done == ["answer"]


async def test_a_cancelled_stage_says_so_when_it_ends() -> None:
    there = asyncio.Event()
    told: list[Any] = []

    class Waits(StageExecutor):
        stage = Stage.PRE_RESPONSE

        async def execute(self, turn: Turn) -> None:
            there.set()
            await asyncio.Event().wait()

    class Listens(EventProvider):
        events = ("stage_complete",)

        async def handle_event(self, event: str, data: Any) -> None:
            told.append(data["error"])

    async with kernel_of(Says, Waits, Listens) as kernel:
        turn = asyncio.create_task(kernel.chat("hi", session="s"))
        await there.wait()
        kernel.runs.cancel_session("s")
        await turn
    assert told == ["CancelledError"]


async def test_state_is_kept_with_a_turn_that_was_left_in_mid_answer() -> None:
    async with kernel_of(Says, Counts) as kernel:
        await kernel.chat("hi", session="s")
        async with kernel.stream("wait", session="s") as stream:
            await anext(aiter(stream))
        session = await kernel.sessions.get_session("s")
    assert session is not None
    assert (session.message_count, session.state) == (4, {"n": 2})


async def test_a_stream_left_in_mid_answer_has_no_stages_after_it() -> None:
    async with kernel_of(Says, Later) as kernel:
        async with kernel.stream("wait", session="s") as stream:
            await anext(aiter(stream))
        session = await kernel.sessions.get_session("s")
    assert done == ["answer"]
    assert session is not None
    assert session.message_count == 2


async def test_a_turn_of_which_nothing_is_kept_leaves_no_state() -> None:
    there = asyncio.Event()

    class Waits(StageExecutor):
        stage = Stage.PRE_RESPONSE

        async def execute(self, turn: Turn) -> None:
            if turn.request.messages[-1].text == "wait":
                there.set()
                await asyncio.Event().wait()

    async with kernel_of(Says, Counts, Waits) as kernel:
        await kernel.chat("hi", session="s")
        turn = asyncio.create_task(kernel.chat("wait", session="s"))
        await there.wait()
        kernel.runs.cancel_session("s")
        await turn
        session = await kernel.sessions.get_session("s")
    assert session is not None
    assert (session.message_count, session.state) == (2, {"n": 1})


async def test_middleware_that_begins_a_turn_again_begins_with_its_first_state() -> None:
    class Twice(Middleware):
        async def turn(
            self, call: TurnCall, call_next: Callable[[TurnCall], Awaitable[Answer]]
        ) -> Answer:
            await (await call_next(call)).read()
            return await call_next(call)

    async with kernel_of(Says, Counts, Twice) as kernel:
        await kernel.chat("hi", session="s")
        session = await kernel.sessions.get_session("s")
    assert session is not None
    assert session.state == {"n": 1}


class Later(StageExecutor):
    """Works after the answer, for a while."""

    stage = Stage.POST_RESPONSE

    async def execute(self, turn: Turn) -> None:
        await asyncio.sleep(0.05)
        done.append("after")


async def test_a_kernel_that_closes_while_an_answer_is_kept_waits_for_what_follows() -> None:
    keeping, go = asyncio.Event(), asyncio.Event()

    class Slow(MemorySessionStore):
        name = "slow"

        async def append(self, session: Session, messages: Sequence[ChatMessage]) -> None:
            keeping.set()
            await go.wait()
            await super().append(session, messages)

        async def stop(self) -> None:
            done.append("stopped")

    kernel = await kernel_of(Says, Later, Slow, pipeline={"after": "background"}).start()
    turn = asyncio.create_task(kernel.chat("hi", session="s"))
    await keeping.wait()
    closing = asyncio.create_task(kernel.close())
    await asyncio.sleep(0.01)
    go.set()
    await closing
    assert done == ["answer", "after", "stopped"]
    assert (await turn).text == "word"


async def test_a_kernel_that_closes_waits_for_what_follows_an_answer() -> None:
    async with kernel_of(Says, Later, pipeline={"after": "background"}) as kernel:
        await kernel.chat("hi", session="s")
        assert done == ["answer"]
    assert done == ["answer", "after"]


async def test_a_kernel_that_closes_cancels_other_answers_at_once() -> None:
    kernel = await kernel_of(Says, Later, pipeline={"after": "background"}).start()
    async with kernel.stream("wait", session="t") as stream:
        await anext(aiter(stream))
        assert stream.run.task is not None
        stream.run.task.add_done_callback(lambda _: done.append("cancelled"))
        await kernel.chat("hi", session="s")
        await kernel.close()
    assert done == ["answer", "answer", "cancelled", "after"]


async def test_what_a_required_stage_raised_holds_no_secret() -> None:
    class Tells(StageExecutor):
        stage = Stage.TEMPLATE
        required = True

        async def execute(self, turn: Turn) -> None:
            raise RuntimeError("sk-very-secret-words refused")

    async with kernel_of(Says, Tells) as kernel:
        kernel.generation.pipeline._secrets = frozenset({"sk-very-secret-words"})  # noqa: SLF001
        with pytest.raises(StageError) as caught:
            await kernel.chat("hi")
    assert "very-secret" not in str(caught.value)
    assert "very-secret" not in str(caught.value.__cause__)


async def test_what_a_stage_after_the_answer_leaves_unread_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Waits(Says):
        name = "waits"

        async def send_message_stream(
            self, request: ChatRequest, context: ExecutionContext
        ) -> AsyncIterator[StreamingChunk]:
            try:
                async for chunk in super().send_message_stream(request, context):
                    yield chunk
            finally:
                done.append("closed")

    class Asks(StageExecutor):
        stage = Stage.POST_RESPONSE

        async def execute(self, turn: Turn) -> None:
            model = kernel.container.resolve(ChatProvider)
            request = ChatRequest(messages=(ChatMessage.user("wait"),))
            self.unread = model.send_message_stream(request, turn.context)
            await anext(aiter(self.unread))

    async with kernel_of(Waits, Asks) as kernel:
        await kernel.chat("hi")
        assert done == ["answer", "closed", "answer", "closed"]


async def test_a_state_that_cannot_be_saved_is_told_of_as_such() -> None:
    class Changed(MemorySessionStore):
        name = "changed"

        async def set(self, session: Session) -> Session:
            raise SessionConflict("others do it all the time")

    async with kernel_of(Says, Counts, Changed) as kernel:
        with pytest.raises(SessionError, match="the answer is kept, but not what the") as caught:
            await kernel.chat("hi", session="s")
    assert caught.value.response is not None
    assert caught.value.response.text == "word"


async def test_whatever_fails_after_the_answer_the_answer_is_there() -> None:
    class Breaks(Middleware):
        async def after_stage(self, call: StageCall, result: None) -> None:
            raise RuntimeError("broken")

    async with kernel_of(Says, Later, Breaks) as kernel:
        with pytest.raises(StageError, match="RuntimeError: broken") as caught:
            await kernel.chat("hi")
    assert caught.value.response is not None
    assert caught.value.response.text == "word"
