"""The context of a piece of work."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from dovetail import (
    ChatProvider,
    ChatRequest,
    ChatResponse,
    ContextManager,
    ExecutionContext,
    current_context,
    new_id,
)
from dovetail.chat.messages import ChatMessage
from dovetail.context import MOST_RECORDS
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


def test_properties_and_tags_are_set_read_and_asked_for() -> None:
    context = ExecutionContext(tags=["a", "a"])
    context.add_property("tone", "dry")
    context.add_tag("a")
    context.add_tag("b")
    assert context.get_property("tone") == "dry"
    assert context.get_property("none", 7) == 7
    assert context.has_property("tone")
    assert not context.has_property("none")
    assert context.tags == ["a", "b"]
    assert context.has_tag("b")
    assert not context.has_tag("c")


def test_events_are_tracked_and_only_the_latest_are_kept() -> None:
    context = ExecutionContext()
    data = {"n": 0}
    context.track_event("first", data)
    data["n"] = 1
    assert context.events[0]["data"] == {"n": 0}
    assert context.events[0]["timestamp"].tzinfo is UTC
    for number in range(2 * MOST_RECORDS):
        context.track_event("more", {"n": number})
        context.history.append({"n": number})
    assert len(context.events) == len(context.history) == MOST_RECORDS
    assert context.events[-1]["data"] == context.history[-1] == {"n": 2 * MOST_RECORDS - 1}


def test_a_fork_is_a_child_for_another_agent_with_a_copy_of_the_metadata() -> None:
    parent = ContextManager().create_context("parent_agent", metadata={"topic": "joints"})
    child = parent.fork("child_agent")
    assert child.parent_id == parent.context_id
    assert child.agent_id == "child_agent"
    assert child.metadata == parent.metadata
    child.metadata["topic"] = "tenons"
    assert parent.metadata == {"topic": "joints"}


def test_what_may_be_shown_is_json_and_holds_no_security_context() -> None:
    context = ExecutionContext(user_id="ann", security_context={"token": "t-123"}, agent_id="a")
    context.track_event("seen")
    context.complete()
    shown = json.loads(json.dumps(context.to_dict()))
    assert (shown["user_id"], shown["agent_id"], shown["events_count"]) == ("ann", "a", 1)
    assert shown["duration"] == context.duration()
    assert "t-123" not in str(shown)


async def test_tasks_that_share_a_manager_see_their_own_context_alone() -> None:
    manager = ContextManager()
    together = asyncio.Barrier(3)

    async def work(agent: str) -> tuple[str | None, str | None]:
        with manager.activate(manager.create_context(agent)) as mine:
            await together.wait()
            found = manager.get_current_context()
            assert found is mine
            assert manager.active_context == mine.context_id
            return agent, found.agent_id

    for asked, got in await asyncio.gather(*(work(agent) for agent in "abc")):
        assert asked == got
    assert manager.get_current_context() is None
    assert manager.active_context is None


async def test_threads_have_the_context_of_whoever_started_them() -> None:
    manager = ContextManager()
    seen: list[ExecutionContext | None] = []

    def look() -> None:
        seen.append(manager.get_current_context())

    with manager.activate(manager.create_context("a")) as context:
        await asyncio.to_thread(look)
        bound = manager.bind(look)
    threads = [threading.Thread(target=target) for target in (bound, bound, look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [context, context, context, None]


def test_a_context_made_inside_another_is_its_child() -> None:
    manager = ContextManager()
    with manager.activate(manager.create_context("outer", user_id="ann")) as outer:
        inner = manager.create_context("inner")
    assert inner.parent_id == outer.context_id
    assert (inner.user_id, inner.agent_id) == ("ann", "inner")


def test_a_manager_finds_contexts_only_as_long_as_somebody_holds_them() -> None:
    manager = ContextManager()
    context = manager.create_context("a")
    id_ = context.context_id
    assert manager.get_context(id_) is context
    del context
    assert manager.get_context(id_) is None
    assert len(manager.contexts) == 0


def test_a_request_goes_on_in_another_process() -> None:
    here = ExecutionContext(user_id="ann")
    headers: dict[str, str] = {}
    here.create_child_context().inject(headers)
    there = ExecutionContext.extract(headers, user_id="ann")
    assert there.request_id == here.request_id
    assert there.parent_context_id == headers["traceparent"].split("-")[2]
    back: dict[str, str] = {}
    there.inject(back)
    assert back["traceparent"].split("-")[1] == headers["traceparent"].split("-")[1]
    assert back["traceparent"] != headers["traceparent"]


def test_a_trace_that_began_elsewhere_keeps_its_id_flags_and_state() -> None:
    headers = {
        "Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
        "TraceState": "vendor=opaque",
    }
    context = ExecutionContext.extract(headers)
    assert context.request_id == "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
    assert context.parent_context_id == "00f067aa0ba902b7"
    out: dict[str, str] = {}
    context.create_child_context().inject(out)
    assert out["traceparent"].startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")
    assert out["traceparent"].endswith("-00")
    assert out["tracestate"] == "vendor=opaque"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
    ],
)
def test_a_header_that_is_none_begins_a_new_trace(header: str) -> None:
    context = ExecutionContext.extract({"traceparent": header, "tracestate": "vendor=opaque"})
    assert context.parent_context_id is None
    out: dict[str, str] = {}
    context.inject(out)
    assert "tracestate" not in out
    assert out["traceparent"].split("-")[1] == context.request_id.replace("-", "")


def test_a_later_version_of_the_header_may_hold_more() -> None:
    header = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-more"
    context = ExecutionContext.extract({"traceparent": header})
    assert context.request_id == "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
    assert context.traceparent.endswith("-01")


@given(request=st.text(min_size=1), context=st.text(min_size=1))
def test_whatever_ids_a_host_gives_the_header_is_valid(request: str, context: str) -> None:
    here = ExecutionContext(request_id=request, context_id=context)
    there = ExecutionContext.extract({"traceparent": here.traceparent})
    assert there.parent_context_id is not None
    assert there.traceparent.split("-")[1] == here.traceparent.split("-")[1]


def test_tags_are_bounded() -> None:
    many = [str(n) for n in range(2 * MOST_RECORDS)]
    context = ExecutionContext(tags=many)
    assert context.tags == many[MOST_RECORDS:]
    context.add_tag("latest")
    assert len(context.tags) == MOST_RECORDS
    assert context.has_tag("latest")


def test_what_json_does_not_have_is_shown_by_its_type() -> None:
    context = ExecutionContext(
        properties={"lock": asyncio.Lock()}, metadata={"key": SecretStr("k")}
    )
    shown = json.loads(json.dumps(context.to_dict()))
    assert shown["properties"] == {"lock": "<Lock>"}
    assert shown["metadata"] == {"key": "**********"}
