"""What a `SessionStore` promises of sessions that end, are listed, touched and leased."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from dovetail.ids import new_id
from dovetail.sessions.session import Session, now
from dovetail.testing.component import ComponentContract
from dovetail.testing.samples import texts, turn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dovetail.sessions.store import SessionStore

AN_HOUR = timedelta(hours=1)


class SessionLifeContract(ComponentContract):
    """A part of `SessionStoreContract`, which plugin authors subclass."""

    @pytest.fixture
    def store(self) -> SessionStore:
        """The running store; `SessionStoreContract` gives it."""
        message = "subclass SessionStoreContract"
        raise TypeError(message)

    async def test_a_deleted_session_is_gone(self, store: SessionStore) -> None:
        """`delete` says whether there was one, and its history does not come back.

        Mend: delete the messages with the session (`ON DELETE CASCADE`).
        """
        session = sample()
        await store.append(session, turn(0))
        assert await store.delete(session.session_id) is True
        assert await store.delete(session.session_id) is False
        assert await store.load(session.session_id) is None
        await store.append(session, turn(1))
        assert texts(await loaded(store, session)) == ["question 1", "answer 1"]

    async def test_an_expired_session_is_not_there(self, store: SessionStore) -> None:
        """From `expiry_at` on `load` gives None, and the id can be used anew, without a history.

        Mend: compare the time when you read and when you write, not only when you clean up.
        """
        session = sample(user_id="ada")
        await store.append(session, turn(0))
        over = await loaded(store, session, 0)
        over.expiry_at = now() - timedelta(seconds=1)
        await store.append(over, turn(1))
        assert await store.load(session.session_id) is None
        assert await store.load(session.session_id, 1) is None
        anew = sample(session_id=session.session_id, user_id="bob")
        await store.append(anew, turn(2))
        assert texts(await loaded(store, anew)) == ["question 2", "answer 2"]

    async def test_cleaning_up_removes_what_is_over_alone(self, store: SessionStore) -> None:
        """`cleanup_expired` removes expired sessions, keeps the others, and says how many.

        A store that drops them by itself may count less. Mend: delete by `expiry_at <= now`; a
        session without `expiry_at` never ends.
        """
        over = [sample(expiry_at=now() - timedelta(seconds=1)) for _ in range(3)]
        alive, forever = sample(), sample(expiry_at=None)
        for session in (*over, alive, forever):
            await store.append(session, turn(0))
        removed = await store.cleanup_expired()
        assert isinstance(removed, int), f"it returned {removed!r}"
        assert removed >= 0
        for session in over:
            assert await store.load(session.session_id) is None
        for session in (alive, forever):
            assert texts(await loaded(store, session)) == ["question 0", "answer 0"]
        assert await store.cleanup_expired() == 0, "cleaning up again removed something"

    async def test_leases_keep_others_out(self, store: SessionStore) -> None:
        """A lease is taken, renewed and given back by its owner; another waits for its end.

        Without `leases` everybody gets one. Mend: take it with one atomic statement that compares
        owner and time; release only what is the owner's.
        """
        id_ = new_id()
        assert await store.acquire_lease(id_, "a", 30) is True
        assert await store.acquire_lease(id_, "a", 30) is True, "its owner cannot renew it"
        taken = await store.acquire_lease(id_, "b", 30)
        assert taken is not store.leases, "another owner got it" if taken else "nobody has leases"
        await store.release_lease(id_, "b")
        assert await store.acquire_lease(id_, "b", 30) is not store.leases, (
            "somebody else gave it back"
        )
        await store.release_lease(id_, "a")
        assert await store.acquire_lease(id_, "b", 0.05) is True, "it was given back, yet is held"
        assert await store.acquire_lease(new_id(), "a", 30) is True, "one lease for all sessions"
        longest = f"{'%2F' * 512}/{id_}"  # of a user's whose name is 512 slashes
        assert await store.acquire_lease(longest, "a", 30) is True, "its name is too long"
        await store.release_lease(longest, "a")
        async with self.in_time("a lease did not end by itself"):
            while not await store.acquire_lease(id_, "c", 30):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.02)
        await store.release_lease(id_, "c")

    async def test_touching_takes_over_the_times_alone(self, store: SessionStore) -> None:
        """`touch` sets `last_accessed_at` and `expiry_at`, and creates nothing.

        Mend: update those two columns where id and owner match and the time is not over.
        """
        created = await store.set(sample(user_id="ada", state={"kept": 1}))
        copy = await loaded(store, created, 0)
        copy.last_accessed_at += timedelta(seconds=5)
        copy.expiry_at = now() + 2 * AN_HOUR
        copy.state = {"changed": 1}
        assert await store.touch(copy) is True
        found = await loaded(store, created)
        assert (found.last_accessed_at, found.expiry_at) == (copy.last_accessed_at, copy.expiry_at)
        assert (found.state, found.version) == ({"kept": 1}, created.version), found
        copy.user_id, copy.expiry_at = "bob", None
        assert await store.touch(copy) is False, "another user touched it"
        assert (await loaded(store, created)).expiry_at == found.expiry_at
        missing = sample()
        assert await store.touch(missing) is False
        assert await store.load(missing.session_id) is None, "touching created a session"

    async def test_sessions_are_listed_by_user(self, store: SessionStore) -> None:
        """`list_sessions` gives a user's own, without history and without what is over.

        Mend: an index on the owner; compare None as an owner of its own (`IS NOT DISTINCT FROM`).
        """
        ada, bob = f"ada {new_id()}", f"bob {new_id()}"
        hers = [await store.set(sample(user_id=ada, state={"n": n})) for n in range(3)]
        await store.append(hers[0], turn(0))
        theirs = await store.set(sample(user_id=bob))
        nobody = await store.set(sample())
        over = sample(user_id=ada, expiry_at=now() - timedelta(seconds=1))
        await store.append(over, turn(0))
        found = await store.list_sessions(ada)
        assert [s.session_id for s in found] == sorted(s.session_id for s in hers)
        assert {s.session_id: s.state for s in found} == {s.session_id: s.state for s in hers}
        assert [s.history for s in found] == [[], [], []]
        assert {s.user_id for s in found} == {ada}
        counts = {s.session_id: s.message_count for s in found}
        assert counts[hers[0].session_id] == 2, f"counted: {counts}"
        assert [s.session_id for s in await store.list_sessions(bob)] == [theirs.session_id]
        assert await store.list_sessions(f"eve {new_id()}") == []
        unowned = {s.session_id async for s in paged(store)}
        assert nobody.session_id in unowned, "a session of nobody is not listed for None"
        assert not unowned & {s.session_id for s in (*hers, theirs)}, "None is not everybody"
        everyone = {s.session_id async for s in paged(store, every_user=True)}
        assert {s.session_id for s in (*hers, theirs, nobody)} <= everyone

    async def test_sessions_are_listed_by_their_end(self, store: SessionStore) -> None:
        """`expiring_before` gives those that end before it, and none that never ends.

        Mend: `expiry_at < …`, beside `expiry_at > now`.
        """
        user = f"ada {new_id()}"
        soon = await store.set(sample(user_id=user, expiry_at=now() + AN_HOUR))
        await store.set(sample(user_id=user, expiry_at=now() + 3 * AN_HOUR))
        await store.set(sample(user_id=user, expiry_at=None))
        found = await store.list_sessions(user, expiring_before=now() + 2 * AN_HOUR)
        assert [s.session_id for s in found] == [soon.session_id]
        assert len(await store.list_sessions(user)) == 3

    async def test_a_long_list_comes_in_pages(self, store: SessionStore) -> None:
        """`limit` and `after` give each session once, in the order of ids by code point.

        Mend: `WHERE session_id > … ORDER BY session_id LIMIT …`, in a collation that compares
        code points (PostgreSQL: `COLLATE "C"`).
        """
        user = f"ada {new_id()}"
        ids = [f"{start}{new_id()}" for start in ("Z", "a", "_", "é", "z", "A", "1", "\N{SNOWMAN}")]
        for id_ in ids:
            await store.append(sample(session_id=id_, user_id=user), turn(0))
        found: list[str] = []
        while page := await store.list_sessions(user, after=found[-1] if found else "", limit=3):
            assert len(page) <= 3, f"{len(page)} sessions on a page of 3"
            found += [session.session_id for session in page]
            assert len(found) <= len(ids), f"pages repeat: {found}"
        assert found == sorted(ids)


def sample(**fields: object) -> Session:
    """A session that ends in an hour."""
    return Session(**{"expiry_at": now() + AN_HOUR, **deepcopy(fields)})  # type: ignore[arg-type]


async def loaded(store: SessionStore, session: Session, last: int | None = None) -> Session:
    """The session as it is stored; it must be there."""
    found = await store.load(session.session_id, last)
    assert found is not None, f"session {session.session_id!r} is not there"
    return found


async def paged(
    store: SessionStore, user_id: str | None = None, *, every_user: bool = False
) -> AsyncIterator[Session]:
    """Every session of the list, page by page: the store may be shared with other tests."""
    after = ""
    while page := await store.list_sessions(user_id, every_user=every_user, after=after):
        for session in page:
            yield session
        after = page[-1].session_id
