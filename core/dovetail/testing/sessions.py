"""What a `SessionStore` promises; `sessions/store.py` says the same in words."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

import pytest

from dovetail.errors import SessionConflict, SessionForbidden
from dovetail.ids import new_id
from dovetail.sessions.session import Session, now
from dovetail.testing.fake import FakeModel, fake_plugin
from dovetail.testing.samples import FORMS, HOSTILE_IDS, STATE, message, texts, turn
from dovetail.testing.session_life import AN_HOUR, SessionLifeContract
from dovetail.testing.session_life import loaded as _load
from dovetail.testing.session_life import sample as _session

if TYPE_CHECKING:
    from dovetail.kernel import Kernel
    from dovetail.sessions.store import SessionStore
    from dovetail.testing.subject import Subject


class SessionStoreContract(SessionLifeContract):
    """Subclass it, and give a fixture `subject` that returns a `Subject`.

    The tests make sessions under ids of their own, so that a database may be shared by them all.
    """

    hook = "session_stores"
    durable: ClassVar[bool] = False
    """Whether sessions are still there when the kernel is closed and opened again."""
    writers: ClassVar[int] = 50
    """How many append to one session at the same time."""

    def open(self, subject: Subject) -> Kernel:
        """A kernel that keeps its sessions in the subject, with a fake model."""
        return subject.open(
            {"chat": {"model": "fake"}, "providers": {"fake": {}}, "sessions": subject.table},
            fake=fake_plugin(FakeModel()),
        )

    def find(self, kernel: Kernel) -> SessionStore:
        """The running store."""
        return kernel.sessions.store

    async def use(self, kernel: Kernel) -> None:
        """A turn that is kept."""
        await kernel.chat("Hello", session=new_id())

    @pytest.fixture
    def store(self, kernel: Kernel) -> SessionStore:
        """The running store."""
        return self.find(kernel)

    async def test_what_was_never_stored_is_not_there(self, store: SessionStore) -> None:
        """`load` and `get` give None for an unknown id, and `delete` False.

        Mend: do not create on reading.
        """
        unknown = new_id()
        assert await store.load(unknown) is None
        assert await store.get(unknown) is None
        assert await store.delete(unknown) is False

    async def test_a_session_comes_back_as_it_was_set(self, store: SessionStore) -> None:
        """Owner, times, state, preferences, `auth_info` and history are exact.

        Mend: keep times aware and to the microsecond, and state as JSON with all its types.
        """
        session = _session(user_id="ada", state=STATE, preferences={"tone": "dry"})
        session.auth_info = {"roles": ["reader"], "level": 3}
        session.history = turn(0)
        await store.set(session)
        found = await _load(store, session)
        for name in (
            "user_id",
            "created_at",
            "last_accessed_at",
            "expiry_at",
            "state",
            "preferences",
            "auth_info",
            "history",
        ):
            kept, given = getattr(found, name), getattr(session, name)
            assert kept == given, f"`{name}` was {given!r} and came back as {kept!r}"
        assert found.message_count == 2, f"`message_count` is {found.message_count} of 2 messages"

    async def test_messages_come_back_exactly(self, store: SessionStore) -> None:
        """Unicode, parts, images, tool calls, reasoning, metadata and a megabyte of text.

        Mend: store `message.model_dump_json()` and read it with `ChatMessage.model_validate_json`.
        """
        session = _session()
        await store.append(session, FORMS)
        found = await _load(store, session)
        assert len(found.history) == len(FORMS)
        for kept, given in zip(found.history, FORMS, strict=True):
            assert kept == given, f"{str(given)[:200]} came back as {str(kept)[:200]}"

    async def test_ids_are_only_names(self, store: SessionStore) -> None:
        """Ids with quotes, slashes, blanks or of 200 characters are as good as any.

        Mend: pass ids as parameters, never as part of a query, a key pattern or a path.
        """
        for id_ in HOSTILE_IDS:
            session = _session(session_id=f"{id_}{new_id()}")
            await store.append(session, [message(id_)])
            found = await _load(store, session)
            assert found.session_id == session.session_id
            assert texts(found) == [id_]
            assert await store.delete(session.session_id) is True, f"{id_!r} cannot be deleted"

    async def test_a_tail_is_the_latest_messages(self, store: SessionStore) -> None:
        """`load(last=n)` gives the last n in order; 0 none, more than there are all; counts all.

        Mend: select by falling position with a limit, and turn the result round.
        """
        session = _session()
        for number in range(3):
            await store.append(session, turn(number))
        everything = texts(await _load(store, session))
        assert everything == [said.text for number in range(3) for said in turn(number)]
        for last in (0, 1, 3, 6, 100):
            found = await _load(store, session, last)
            expected = everything[-last:] if last else []
            assert texts(found) == expected, f"last={last} gave {texts(found)}"
            assert found.message_count == 6, f"last={last} counts {found.message_count} of 6"

    async def test_appending_creates_a_session(self, store: SessionStore) -> None:
        """`append` to an unknown id creates it, with owner, state, preferences and times.

        Mend: insert the session if it is missing, in the same transaction as the messages.
        """
        session = _session(user_id="ada", state=STATE, preferences={"tone": "dry"})
        await store.append(session, turn(0))
        found = await _load(store, session)
        assert (found.user_id, found.state, found.preferences) == ("ada", STATE, {"tone": "dry"})
        assert found.created_at == session.created_at
        assert texts(found) == ["question 0", "answer 0"]

    async def test_appending_takes_over_the_times_alone(self, store: SessionStore) -> None:
        """`append` sets `last_accessed_at` and `expiry_at`, and leaves state, version and owner.

        Mend: update those two columns and insert the messages, nothing else.
        """
        created = await store.set(_session(state={"kept": 1}, preferences={"tone": "dry"}))
        copy = await _load(store, created, 0)
        copy.last_accessed_at += timedelta(seconds=5)
        copy.expiry_at = now() + 2 * AN_HOUR
        copy.state, copy.preferences = {"changed": 1}, {}
        await store.append(copy, turn(0))
        found = await _load(store, created)
        assert found.last_accessed_at == copy.last_accessed_at
        assert found.expiry_at == copy.expiry_at
        assert (found.state, found.preferences) == ({"kept": 1}, {"tone": "dry"}), found.state
        assert found.version == created.version, "appending changed the version"
        assert texts(found) == ["question 0", "answer 0"]

    async def test_appending_never_conflicts(self, store: SessionStore) -> None:
        """Fifty at once all succeed, and each one's messages stand next to each other in order.

        Mend: one statement or transaction for an append; number messages where they are stored.
        """
        session = _session()
        many = range(self.writers)
        async with self.in_time("the appends did not end"):
            await asyncio.gather(
                *(store.append(deepcopy(session), turn(number)) for number in many)
            )
        found = await _load(store, session)
        said = texts(found)
        assert sorted(said) == sorted(t.text for n in many for t in turn(n)), (
            f"{len(said)} of {2 * self.writers} messages are there"
        )
        pairs = [said[i].split()[-1] == said[i + 1].split()[-1] for i in range(0, len(said), 2)]
        assert all(pairs), f"turns are interleaved: {said}"
        assert found.message_count == len(said), f"{found.message_count} counted of {len(said)}"

    async def test_setting_leaves_the_history(self, store: SessionStore) -> None:
        """`set` saves state and preferences, whatever part of the history the copy holds.

        Mend: do not write `session.history` of a session that is stored.
        """
        session = _session()
        await store.append(session, turn(0))
        copy = await _load(store, session, 0)
        copy.state["seen"] = True
        await store.set(copy)
        found = await _load(store, session)
        assert found.state == {"seen": True}, found.state
        assert texts(found) == ["question 0", "answer 0"], f"the history became {texts(found)}"
        assert found.message_count == 2

    async def test_setting_compares_versions(self, store: SessionStore) -> None:
        """The second of two who read the same version gets `SessionConflict`; nothing changes.

        Mend: `UPDATE … WHERE version = …`, and raise if no row was changed.
        """
        created = await store.set(_session(state={"n": 0}))
        mine, yours = await _load(store, created), await _load(store, created)
        mine.state["n"], yours.state["n"] = 1, 2
        after = await store.set(mine)
        assert after.version > created.version, f"{created.version} became {after.version}"
        assert after.state == {"n": 1}
        with pytest.raises(SessionConflict):
            await store.set(yours)
        found = await _load(store, created)
        assert (found.state, found.version) == ({"n": 1}, after.version)
        after.state["n"] = 3
        await store.set(after)  # what `set` returned can be set again
        assert (await _load(store, created)).state == {"n": 3}

    async def test_one_of_many_setters_wins(self, store: SessionStore) -> None:
        """Of twenty who set the same version at once exactly one succeeds.

        Mend: compare and write in one statement or transaction; do not read first.
        """
        created = await store.set(_session())
        copies = [await _load(store, created) for _ in range(20)]
        for number, copy in enumerate(copies):
            copy.state["winner"] = number
        results = await asyncio.gather(
            *(store.set(copy) for copy in copies), return_exceptions=True
        )
        strange = [
            r
            for r in results
            if isinstance(r, BaseException) and not isinstance(r, SessionConflict)
        ]
        assert not strange, f"something else than SessionConflict: {strange[0]!r}"
        won = [r for r in results if isinstance(r, Session)]
        assert len(won) == 1, f"{len(won)} of 20 succeeded"
        assert (await _load(store, created)).state == won[0].state

    async def test_only_a_new_session_is_created_by_setting(self, store: SessionStore) -> None:
        """`set` creates at version 0 alone: one that was deleted meanwhile is a conflict.

        Mend: insert if `session.version == 0`, else update; no row changed is a conflict.
        """
        created = await store.set(_session())
        await store.delete(created.session_id)
        with pytest.raises(SessionConflict):
            await store.set(created)
        assert await store.load(created.session_id) is None
        first = _session()
        await store.set(deepcopy(first))
        with pytest.raises(SessionConflict):
            await store.set(deepcopy(first))

    async def test_another_user_is_refused(self, store: SessionStore) -> None:
        """`append` and `set` by another user, or by nobody, raise `SessionForbidden`.

        Mend: compare `user_id` where you write; None is an owner like any other.
        """
        for owner, other in (("ada", "bob"), ("ada", None), (None, "bob")):
            session = _session(user_id=owner, state={"whose": owner})
            created = await store.set(session)
            theirs = deepcopy(created)
            theirs.user_id, theirs.state = other, {"whose": other}
            with pytest.raises(SessionForbidden):
                await store.append(theirs, turn(0))
            with pytest.raises(SessionForbidden):
                await store.set(theirs)
            found = await _load(store, session)
            assert (found.user_id, found.state, found.history) == (owner, {"whose": owner}, [])

    async def test_copies_are_apart(self, store: SessionStore) -> None:
        """What is handed in or out and changed afterwards changes nothing that is stored.

        Mend: copy deeply on the way in and on the way out.
        """
        session = _session(state={"list": [1]}, preferences={"deep": {"a": 1}})
        returned = await store.set(session)
        await store.append(returned, turn(0))
        loaded = await _load(store, session)
        for copy in (session, returned, loaded):
            copy.state["list"].append(2)
            copy.preferences["deep"]["a"] = 2
            copy.history.clear()
        found = await _load(store, session)
        assert found.state == {"list": [1]}, f"the state became {found.state}"
        assert found.preferences == {"deep": {"a": 1}}, f"became {found.preferences}"
        assert texts(found) == ["question 0", "answer 0"], f"the history became {texts(found)}"

    async def test_turns_at_once_are_all_kept(self, kernel: Kernel) -> None:
        """Turns of one session through the kernel come one after the other, none is lost.

        Mend: see `append` and the leases.
        """
        id_ = new_id()
        said = [f"message {number}" for number in range(8)]
        async with self.in_time("eight turns did not end"):
            await asyncio.gather(*(kernel.chat(text, session=id_) for text in said))
        session = await kernel.sessions.get_session(id_)
        assert session is not None
        kept = texts(session)
        assert sorted(kept) == sorted(said * 2), f"kept: {kept}"
        assert kept[::2] == kept[1::2], f"questions and answers are interleaved: {kept}"

    async def test_a_durable_store_keeps_sessions(self, subject: Subject) -> None:
        """If the contract says `durable`, sessions are there when the kernel is opened again.

        Mend: commit before `append` and `set` return.
        """
        id_ = new_id()
        async with self.open(subject) as kernel:
            await kernel.chat("Hello", session=id_)
        async with self.open(subject) as kernel:
            session = await kernel.sessions.get_session(id_)
        kept = texts(session) if session is not None else []
        assert kept == ["Hello", "Hello"] or not self.durable, f"kept: {kept}"
