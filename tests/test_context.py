"""The context of a piece of work."""

from __future__ import annotations

from datetime import UTC

from dovetail import (
    ChatProvider,
    ChatRequest,
    ChatResponse,
    ExecutionContext,
    current_context,
    new_id,
)
from dovetail.chat.messages import ChatMessage
from tests.support.kernels import kernel_of
from tests.support.models import Echo


def test_ids_are_made_when_first_asked_for_and_stay() -> None:
    context = ExecutionContext()
    assert not context.has_request_id
    assert context.request_id == context.request_id
    assert context.context_id != context.request_id
    assert context.has_request_id


def test_ids_are_uuids_that_sort_by_time() -> None:
    ids = [new_id() for _ in range(3)]
    assert all(len(made) == 36 and made[14] == "7" and made[19] in "89ab" for made in ids)
    assert len(set(ids)) == len(ids)


def test_a_child_shares_the_request_and_what_is_marked_as_inherited() -> None:
    parent = ExecutionContext(
        user_id="ann", session_id="s", properties={"inherited_tenant": "t", "own": 1}
    )
    child = parent.create_child_context(tool_name="search", properties={"more": 2})
    assert child.parent_id == child.parent_context_id == parent.context_id
    assert child.request_id == parent.request_id
    assert (child.user_id, child.session_id, child.tool_name) == ("ann", "s", "search")
    assert child.properties == {"inherited_tenant": "t", "more": 2}


def test_the_end_is_noted_once() -> None:
    context = ExecutionContext()
    assert context.start_time.tzinfo is UTC
    assert context.duration() >= 0
    context.complete()
    ended, took = context.end_time, context.duration()
    context.complete()
    assert (context.end_time, context.duration()) == (ended, took)


async def test_a_host_may_pass_its_own_context_and_a_provider_sees_it() -> None:
    seen: list[tuple[ExecutionContext, ExecutionContext | None]] = []

    class Looks(ChatProvider):
        async def send_message(
            self, request: ChatRequest, context: ExecutionContext
        ) -> ChatResponse:
            seen.append((context, current_context()))
            return ChatResponse(message=ChatMessage.assistant("a"))

    mine = ExecutionContext(request_id="r-1", user_id="ann", session_id="s")
    async with kernel_of(Looks) as kernel:
        response = await kernel.chat("x", context=mine)
        session = await kernel.sessions.get_session("s", user_id="ann")
    assert seen == [(mine, mine)]
    assert response.request_id == "r-1"
    assert session is not None


async def test_a_chat_inside_other_work_is_its_child() -> None:
    async with kernel_of(Echo) as kernel:
        outer = ExecutionContext(user_id="ann")
        await kernel.chat("x", context=outer)
        assert current_context() is None
