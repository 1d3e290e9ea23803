"""Cancelling a turn, by run and by session, at every point of its life."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from dovetail import (
    ChatProvider,
    ChatRequest,
    ChatResponse,
    ChatSessionManager,
    ExecutionContext,
    FinishReason,
    MemorySessionStore,
    SessionError,
    SessionForbidden,
    SessionStatus,
)
from tests.support.kernels import kernel_of
from tests.support.models import Echo, Gated, Stubborn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail import ChatMessage, Kernel, Session

QUICK = {"cancel_grace": 0.05}


async def texts(kernel: Kernel, session: str) -> list[str]:
    """The stored history of a session."""
    found = await kernel.sessions.get_session(session)
    return [message.text for message in found.history] if found else []


def gated_of(kernel: Kernel) -> Gated:
    """The gated provider that runs in `kernel`."""
    gated = kernel.generation.providers["gated"]
    assert isinstance(gated, Gated)
    return gated


async def test_a_turn_cancelled_by_its_session_gives_what_had_come() -> None:
    async with kernel_of(Gated) as kernel:
        caller = asyncio.create_task(kernel.chat("x", session="s"))
        await gated_of(kernel).began.wait()
        assert kernel.runs.get_session_status("s") is SessionStatus.RUNNING
        assert kernel.runs.cancel_session("s")
        response = await caller
        assert (response.text, response.finish_reason) == ("begun ", FinishReason.CANCELLED)
        assert gated_of(kernel).closed.is_set()
        assert kernel.runs.get_session_status("s") is SessionStatus.CANCELLED
        assert await texts(kernel, "s") == ["x", "begun "]


async def test_a_stream_cancelled_by_its_run_ends_as_usual() -> None:
    async with kernel_of(Gated) as kernel, kernel.stream("x", session="s") as stream:
        came = []
        async for chunk in stream:
            came.append(chunk.text)
            assert kernel.runs.cancel_session(stream.run.id)
        assert came == ["begun "]
        assert stream.response.finish_reason is FinishReason.CANCELLED
        assert kernel.runs.get_session_status(stream.run.id) is SessionStatus.CANCELLED


async def test_a_turn_cancelled_before_its_first_step_is_ended_too() -> None:
    async with kernel_of(Echo) as kernel:
        caller = asyncio.create_task(kernel.chat("x", session="s"))
        await asyncio.sleep(0)
        assert kernel.runs.cancel_session("s")
        response = await caller
        assert response.finish_reason in (FinishReason.CANCELLED, FinishReason.STOP)
        assert kernel.runs.get_active_session_count() == 0


async def test_a_turn_that_waits_for_its_session_can_be_cancelled() -> None:
    async with kernel_of(Gated) as kernel:
        gated = gated_of(kernel)
        first = asyncio.create_task(kernel.chat("one", session="s"))
        await gated.began.wait()
        async with kernel.stream("two", session="s") as second:
            for _ in range(5):
                await asyncio.sleep(0)
            assert second.run.status is SessionStatus.WAITING
            assert kernel.runs.cancel_session(second.run.id)
            assert [chunk async for chunk in second] == []
            assert second.response.finish_reason is FinishReason.CANCELLED
        gated.gate.set()
        assert (await first).text == "begun done"
        assert await texts(kernel, "s") == ["one", "begun done"]


async def test_cancelling_a_session_stops_also_the_turns_that_wait() -> None:
    async with kernel_of(Gated) as kernel:
        callers = [asyncio.create_task(kernel.chat(f"{n}", session="s")) for n in range(3)]
        await gated_of(kernel).began.wait()
        assert kernel.runs.cancel_session("s")
        responses = await asyncio.gather(*callers)
        assert {response.finish_reason for response in responses} == {FinishReason.CANCELLED}
        assert await texts(kernel, "s") == ["0", "begun "]


async def test_a_provider_that_swallows_cancellation_is_reported_and_left_behind() -> None:
    async with kernel_of(Stubborn, Echo, kernel=QUICK) as kernel:
        stubborn = kernel.generation.providers["stubborn"]
        assert isinstance(stubborn, Stubborn)
        caller = asyncio.create_task(kernel.chat("x", session="s"))
        await stubborn.began.wait()
        assert kernel.runs.cancel_session("s")
        response = await caller
        assert (response.text, response.finish_reason) == ("some", FinishReason.CANCELLED)
        assert kernel.runs.get_session_status("s") is SessionStatus.STUCK
        assert kernel.runs.get_active_session_count() == 0
        # The session goes on, and what the stuck turn still says is not added to it.
        await kernel.chat("next", model="echo", session="s")
        stubborn.release.set()
        for _ in range(5):
            await asyncio.sleep(0)
        assert await texts(kernel, "s") == ["x", "some", "next", "next "]


async def test_leaving_the_stream_of_a_stuck_provider_does_not_hang() -> None:
    async with kernel_of(Stubborn, kernel=QUICK) as kernel:
        async with kernel.stream("x", session="s") as stream:
            await anext(stream)
        assert stream.response.text == "some"
        assert stream.run.status is SessionStatus.STUCK
        assert await texts(kernel, "s") == ["x", "some"]


async def test_another_users_run_cannot_be_cancelled_or_seen() -> None:
    async with kernel_of(Gated) as kernel:
        async with kernel.stream("x", session="s", user="ann") as stream:
            await anext(stream)
            with pytest.raises(SessionForbidden):
                kernel.runs.cancel_session("s", user_id="bob")
            with pytest.raises(SessionForbidden):
                kernel.runs.get_session_status(stream.run.id, user_id="bob")
            assert kernel.runs.get_session_status("s", user_id="ann") is SessionStatus.RUNNING
        with pytest.raises(SessionForbidden):
            kernel.runs.get_session_status("s", user_id="bob")


async def test_what_nobody_knows_has_no_status_and_is_not_cancelled() -> None:
    async with kernel_of(Echo) as kernel:
        assert not kernel.runs.cancel_session("nobody")
        assert kernel.runs.get_session_status("nobody") is SessionStatus.UNKNOWN


async def test_a_turn_that_commits_cannot_be_cancelled() -> None:
    class SlowStore(MemorySessionStore):
        keeping = asyncio.Event()
        go_on = asyncio.Event()

        async def append(self, session: Session, messages: Sequence[ChatMessage]) -> None:
            self.keeping.set()
            await self.go_on.wait()
            await super().append(session, messages)

    async with kernel_of(Echo, SlowStore) as kernel:
        caller = asyncio.create_task(kernel.chat("x", session="s"))
        await SlowStore.keeping.wait()
        assert kernel.runs.get_session_status("s") is SessionStatus.COMMITTING
        assert not kernel.runs.cancel_session("s")
        caller.cancel()
        await asyncio.sleep(0)
        SlowStore.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert await texts(kernel, "s") == ["x", "x "]


async def test_a_commit_that_hangs_is_broken_off_and_said() -> None:
    class Hangs(MemorySessionStore):
        async def append(self, session: Session, messages: Sequence[ChatMessage]) -> None:
            await asyncio.Event().wait()

    async with kernel_of(Echo, Hangs, kernel={"commit_timeout": 0.05}) as kernel:
        with pytest.raises(SessionError, match=r"could not be kept.*took too long"):
            await kernel.chat("x", session="s")
        # and the session is free again
        with pytest.raises(SessionError, match="could not be kept"):
            await kernel.chat("x", session="s")


async def test_a_store_that_fails_to_keep_a_turn_is_said() -> None:
    class Full(MemorySessionStore):
        async def append(self, session: Session, messages: Sequence[ChatMessage]) -> None:
            message = "the disk is full"
            raise OSError(message)

    async with kernel_of(Echo, Full) as kernel:
        with pytest.raises(SessionError, match="the disk is full") as caught:
            await kernel.chat("x", session="s")
        assert isinstance(caught.value.__cause__, OSError)


async def test_a_turn_may_cancel_itself() -> None:
    class Suicidal(ChatProvider):
        runs: ChatSessionManager

        async def send_message(
            self, request: ChatRequest, context: ExecutionContext
        ) -> ChatResponse:
            assert self.runs.cancel_session("s")
            await asyncio.sleep(3600)
            raise AssertionError

    async with kernel_of(Suicidal) as kernel:
        provider = kernel.generation.providers["suicidal"]
        assert isinstance(provider, Suicidal)
        provider.runs = kernel.runs
        response = await kernel.chat("x", session="s")
        assert response.finish_reason is FinishReason.CANCELLED


async def test_a_task_of_the_hosts_own_can_be_registered_and_cancelled() -> None:
    manager = ChatSessionManager(cancel_grace=0.05)
    task = asyncio.create_task(asyncio.sleep(3600))
    run = manager.register_session(task, session_id="s", stage="agent")
    assert (manager.get_active_session_count(), run.stage) == (1, "agent")
    assert manager.cancel_session(run.id)
    await run.wait()
    assert task.cancelled()
    assert manager.get_session_status(run.id) is SessionStatus.CANCELLED
    assert manager.get_active_session_count() == 0
    await manager.close()
