"""The life of sessions: whose they are, one turn at a time, and how they end."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

import pytest

from dovetail import (
    MemorySessionStore,
    Session,
    SessionBusy,
    SessionConflict,
    SessionError,
    SessionForbidden,
)
from tests.support.kernels import kernel_of
from tests.support.models import Echo, Gated

if TYPE_CHECKING:
    from dovetail import Kernel


async def texts(kernel: Kernel, session: str, user: str | None = None) -> list[str]:
    """The stored history of a session."""
    found = await kernel.sessions.get_session(session, user_id=user)
    return [message.text for message in found.history] if found else []


async def test_a_session_remembers_from_turn_to_turn() -> None:
    async with kernel_of(Echo) as kernel:
        await kernel.chat("one", session="s")
        await kernel.chat("two", session="s")
        echo = kernel.generation.providers["echo"]
        assert isinstance(echo, Echo)
        assert [m.text for m in echo.requests[1].messages] == ["one", "one ", "two"]


async def test_without_a_session_nothing_is_kept() -> None:
    async with kernel_of(Echo) as kernel:
        await kernel.chat("one")
        store = kernel.sessions.store
        assert isinstance(store, MemorySessionStore)
        assert not store.sessions


@pytest.mark.parametrize("other", ["bob", None])
async def test_another_users_session_is_refused_everywhere(other: str | None) -> None:
    async with kernel_of(Echo) as kernel:
        await kernel.chat("mine", session="s", user="ann")
        sessions = kernel.sessions
        with pytest.raises(SessionForbidden):
            await kernel.chat("mine too?", session="s", user=other)
        with pytest.raises(SessionForbidden):
            async with kernel.stream("mine too?", session="s", user=other) as stream:
                await anext(stream)
        with pytest.raises(SessionForbidden):
            await sessions.get_session("s", user_id=other)
        with pytest.raises(SessionForbidden):
            await sessions.delete_session("s", user_id=other)
        with pytest.raises(SessionForbidden):
            await sessions.create_session(other, session_id="s")
        assert await texts(kernel, "s", "ann") == ["mine", "mine "]


async def test_turns_of_one_session_come_one_after_the_other_in_order() -> None:
    async with kernel_of(Echo) as kernel:
        await asyncio.gather(*(kernel.chat(f"{n}", session="s") for n in range(10)))
        assert await texts(kernel, "s") == [t for n in range(10) for t in (f"{n}", f"{n} ")]


async def test_turns_of_different_sessions_do_not_wait_for_each_other() -> None:
    async with kernel_of(Gated, Echo) as kernel, kernel.stream("x", session="a") as held:
        await anext(held)
        assert (await kernel.chat("y", model="echo", session="b")).text == "y "


async def test_too_many_waiting_turns_are_refused() -> None:
    async with kernel_of(Gated, sessions={"max_waiting": 1}) as kernel:
        async with kernel.stream("x", session="s") as held:
            await anext(held)
            waiting = asyncio.create_task(kernel.chat("y", session="s"))
            for _ in range(3):
                await asyncio.sleep(0)
            with pytest.raises(SessionBusy, match="wait for it already"):
                await kernel.chat("z", session="s")
        gated = kernel.generation.providers["gated"]
        assert isinstance(gated, Gated)
        gated.gate.set()
        assert (await waiting).text == "begun done"


async def test_a_turn_waits_for_its_session_only_so_long() -> None:
    async with (
        kernel_of(Gated, sessions={"wait_timeout": "50ms"}) as kernel,
        kernel.stream("x", session="s") as held,
    ):
        await anext(held)
        with pytest.raises(SessionBusy, match="not free within"):
            await kernel.chat("y", session="s")


async def test_a_deleted_session_begins_anew() -> None:
    async with kernel_of(Echo) as kernel:
        await kernel.chat("one", session="s")
        assert await kernel.sessions.delete_session("s")
        assert not await kernel.sessions.delete_session("s")
        await kernel.chat("two", session="s")
        assert await texts(kernel, "s") == ["two", "two "]


async def test_deleting_waits_for_the_turn_in_flight() -> None:
    async with kernel_of(Gated) as kernel:
        gated = kernel.generation.providers["gated"]
        assert isinstance(gated, Gated)
        turn = asyncio.create_task(kernel.chat("x", session="s"))
        await gated.began.wait()
        deleting = asyncio.create_task(kernel.sessions.delete_session("s"))
        gated.gate.set()
        await turn
        assert await deleting
        assert await kernel.sessions.get_session("s") is None


async def test_a_session_ends_when_its_lifetime_is_over() -> None:
    async with kernel_of(Echo) as kernel:
        session = await kernel.sessions.create_session(session_id="s")
        session.expiry_at = session.created_at - timedelta(seconds=1)
        await kernel.sessions.store.set(session)
        assert await kernel.sessions.get_session("s") is None
        made = await kernel.sessions.get_session("s", create_if_missing=True)
        assert made is not None
        assert not made.is_expired()


async def test_each_use_moves_the_end_of_a_sliding_session_only() -> None:
    for expiry, moves in (("sliding", True), ("absolute", False)):
        async with kernel_of(Echo, sessions={"expiry": expiry, "lifetime": "1h"}) as kernel:
            await kernel.chat("one", session="s")
            before = await kernel.sessions.get_session("s")
            await kernel.chat("two", session="s")
            after = await kernel.sessions.get_session("s")
            assert before is not None
            assert after is not None
            assert before.expiry_at is not None
            assert after.expiry_at is not None
            assert (after.expiry_at > before.expiry_at) is moves


async def test_expired_sessions_are_removed_in_the_background() -> None:
    class Noting(MemorySessionStore):
        cleaned = asyncio.Event()

        async def cleanup_expired(self) -> int:
            count = await super().cleanup_expired()
            if count:
                self.cleaned.set()
            return count

    config = {"lifetime": "20ms", "cleanup_interval": "20ms"}
    async with kernel_of(Echo, Noting, sessions=config) as kernel:
        await kernel.chat("x", session="s")
        await Noting.cleaned.wait()


async def test_a_change_of_state_conflicts_with_a_newer_one() -> None:
    async with kernel_of(Echo) as kernel:
        sessions = kernel.sessions
        mine = await sessions.create_session(session_id="s")
        theirs = await sessions.get_session("s")
        assert theirs is not None
        theirs.set("colour", "red")
        await sessions.update_session(theirs)
        mine.set("colour", "blue")
        with pytest.raises(SessionConflict):
            await sessions.update_session(mine)
        stored = await sessions.get_session("s")
        assert stored is not None
        assert stored.get("colour") == "red"


async def test_a_session_is_created_once() -> None:
    async with kernel_of(Echo) as kernel:
        await kernel.chat("x", session="s")
        with pytest.raises(SessionConflict):
            await kernel.sessions.create_session(session_id="s")


async def test_a_turn_never_conflicts_with_a_change_of_state() -> None:
    async with kernel_of(Gated) as kernel:
        await kernel.sessions.create_session(session_id="s")
        async with kernel.stream("x", session="s") as stream:
            await anext(stream)
            session = await kernel.sessions.get_session("s")
            assert session is not None
            session.set("colour", "red")
            await kernel.sessions.update_session(session)
        stored = await kernel.sessions.get_session("s")
        assert stored is not None
        assert (stored.get("colour"), len(stored.history)) == ("red", 2)


class Shared(MemorySessionStore):
    """One memory for all kernels of the process, with leases, as a store over a network has."""

    leases = True
    kept: ClassVar[MemorySessionStore] = MemorySessionStore()
    owners: ClassVar[dict[str, str]] = {}

    async def start(self) -> None:
        self.sessions = self.kept.sessions

    async def acquire_lease(self, session_id: str, owner: str, seconds: float) -> bool:
        return self.owners.setdefault(session_id, owner) == owner

    async def release_lease(self, session_id: str, owner: str) -> None:
        if self.owners.get(session_id) == owner:
            del self.owners[session_id]


async def test_two_processes_take_turns_by_the_stores_lease() -> None:
    async with kernel_of(Gated, Shared) as one, kernel_of(Echo, Shared) as two:
        gated = one.generation.providers["gated"]
        assert isinstance(gated, Gated)
        first = asyncio.create_task(one.chat("first", session="s"))
        await gated.began.wait()
        second = asyncio.create_task(two.chat("second", session="s"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not second.done()
        gated.gate.set()
        await asyncio.gather(first, second)
        assert await texts(two, "s") == ["first", "begun done", "second", "second "]
        assert not Shared.owners


async def test_a_slash_in_a_name_makes_nobody_wait_for_anothers_turn() -> None:
    async with AsyncExitStack() as turns:
        for user, session in ((None, "ann/a"), ("ann", "a"), ("ann/b", "c"), ("ann", "b/c")):
            kernel = await turns.enter_async_context(
                kernel_of(Gated, Shared, sessions={"wait_timeout": "50ms"})
            )
            stream = kernel.stream("x", session=session, user=user)
            await anext(await turns.enter_async_context(stream))
        assert len(Shared.owners) == 4


async def test_a_lease_that_could_not_be_given_back_stops_nobody_in_its_process() -> None:
    class Forgetful(Shared):
        async def release_lease(self, session_id: str, owner: str) -> None:
            raise ConnectionError("the server is away")

    async with kernel_of(Echo, Forgetful, sessions={"wait_timeout": "50ms"}) as kernel:
        for _ in range(2):
            assert (await kernel.chat("x", session="forgotten")).text == "x "


async def test_the_next_turn_keeps_its_lease_though_the_one_before_is_slow_to_give_it_back() -> (
    None
):
    class Slow(Shared):
        async def release_lease(self, session_id: str, owner: str) -> None:
            await asyncio.sleep(0.01)
            await super().release_lease(session_id, owner)

    async with kernel_of(Gated, Slow) as kernel:
        for _ in range(2):
            async with kernel.stream("x", session="slow") as stream:
                await anext(stream)
                await asyncio.sleep(0.02)
                assert "slow" in Shared.owners


async def test_a_lease_that_the_store_cannot_give_in_time_is_not_anothers() -> None:
    class Slow(Shared):
        async def acquire_lease(self, session_id: str, owner: str, seconds: float) -> bool:
            raise TimeoutError("the server did not answer")

    async with kernel_of(Echo, Slow) as kernel:
        with pytest.raises(SessionError, match="did not answer") as raised:
            await kernel.chat("x", session="s")
        assert not isinstance(raised.value, SessionBusy)


async def test_who_makes_a_session_that_another_has_just_made_gets_theirs() -> None:
    class Slow(MemorySessionStore):
        async def load(self, session_id: str, last: int | None = None) -> Session | None:
            found = await super().load(session_id, last)
            await asyncio.sleep(0)
            return found

    async with kernel_of(Echo, Slow) as kernel:
        get = kernel.sessions.get_session
        made = await asyncio.gather(*(get("s", create_if_missing=True) for _ in range(3)))
        assert [session.version for session in made if session] == [1, 1, 1]


async def test_a_lease_that_another_process_holds_makes_a_turn_give_up() -> None:
    Shared.owners["held"] = "somebody else"
    async with kernel_of(Echo, Shared, sessions={"wait_timeout": "50ms"}) as kernel:
        with pytest.raises(SessionBusy, match="another process"):
            await kernel.chat("x", session="held")
        del Shared.owners["held"]
        assert (await kernel.chat("x", session="held")).text == "x "


def test_a_session_has_the_requirements_methods() -> None:
    session = Session(user_id="ann")
    session.set("a", 1)
    assert session.has("a")
    assert session.get("a") == 1
    assert session.get("b", 2) == 2
    session.delete("a")
    session.delete("a")
    session.set("c", 3)
    session.clear()
    assert not session.has("c")
    assert not session.is_expired()
    assert session.to_dict()["user_id"] == "ann"
    assert session.created_at.tzinfo is not None
