"""Session stores that each break one promise; `breaks` names the tests that must notice."""
# mypy: ignore-errors
# They are wrong on purpose.

import asyncio
from copy import deepcopy
from dataclasses import replace

import pytest
from breaks import Breaks

from dovetail import MemorySessionStore, Session
from dovetail.testing import SessionStoreContract, Subject, plugin_of


class Store(MemorySessionStore):
    """A store that keeps every promise; the others change one method."""

    name = "faulty"


class Inventing(Store):
    async def load(self, session_id, last=None):
        return await super().load(session_id, last) or Session(session_id=session_id)


class ForgetsAuth(Store):
    async def set(self, session):
        return await super().set(replace(session, auth_info=None))


class StripsNul(Store):
    async def append(self, session, messages):
        clean = [
            m.model_copy(update={"content": m.content.replace("\x00", "")})
            if isinstance(m.content, str)
            else m
            for m in messages
        ]
        await super().append(session, clean)


class PathKeys(Store):
    async def append(self, session, messages):
        if "/" in session.session_id:
            raise FileNotFoundError(session.session_id)
        await super().append(session, messages)


class SliceOfNothing(Store):
    async def load(self, session_id, last=None):
        return await super().load(session_id, last or None)


class CreatesEmpty(Store):
    async def append(self, session, messages):
        if session.session_id not in self.sessions:
            session = replace(session, state={}, preferences={})
        await super().append(session, messages)


class WritesState(Store):
    async def append(self, session, messages):
        await super().append(session, messages)
        self.sessions[session.session_id].state = deepcopy(session.state)


class LosesUpdates(Store):
    async def append(self, session, messages):
        stored = self.sessions.get(session.session_id)
        before = list(stored.history) if stored else []
        await asyncio.sleep(0)
        await super().append(session, messages)
        self.sessions[session.session_id].history = [*before, *messages]


class SetsHistory(Store):
    async def set(self, session):
        done = await super().set(session)
        self.sessions[session.session_id].history = list(session.history)
        return done


class LastOneWins(Store):
    async def set(self, session):
        stored = self.sessions.get(session.session_id)
        version = stored.version if stored else session.version
        return await super().set(replace(session, version=version))


class ChecksThenWrites(Store):
    async def set(self, session):
        stored = self.sessions.get(session.session_id)
        if stored is not None and stored.version == session.version:
            await asyncio.sleep(0)
            session = replace(session, version=self.sessions[session.session_id].version)
        return await super().set(session)


class Resurrects(Store):
    async def set(self, session):
        if session.session_id not in self.sessions:
            session = replace(session, version=0)
        return await super().set(session)


class OpenToAll(Store):
    async def append(self, session, messages):
        await super().append(self._owned(session), messages)

    async def set(self, session):
        return await super().set(self._owned(session))

    def _owned(self, session):
        stored = self.sessions.get(session.session_id)
        return replace(session, user_id=stored.user_id) if stored else session


class Shallow(Store):
    async def load(self, session_id, last=None):
        found = await super().load(session_id, last)
        if found is not None:
            found.state = dict(self.sessions[session_id].state)
        return found


class KeepsMessages(Store):
    def __init__(self):
        super().__init__()
        self.old = {}

    async def delete(self, session_id):
        if session_id in self.sessions:
            self.old[session_id] = self.sessions[session_id].history
        return await super().delete(session_id)

    async def append(self, session, messages):
        await super().append(session, [*self.old.pop(session.session_id, ()), *messages])


class NeverExpires(Store):
    def _find(self, session_id):
        return self.sessions.get(session_id)


class CleansTooMuch(Store):
    async def cleanup_expired(self):
        before = len(self.sessions)
        kept = {k: s for k, s in self.sessions.items() if s.expiry_at and not s.is_expired()}
        self.sessions.clear()
        self.sessions.update(kept)
        return before - len(self.sessions)


class TouchesAll(Store):
    async def touch(self, session):
        if not await super().touch(session):
            await self.append(session, [])
        return True


class ListsEverybody(Store):
    async def list_sessions(self, user_id=None, **which):
        return await super().list_sessions(user_id, **{**which, "every_user": True})


class ListsForever(Store):
    async def list_sessions(self, user_id=None, **which):
        return await super().list_sessions(user_id, **{**which, "expiring_before": None})


class PagesBySlices(Store):
    async def list_sessions(self, user_id=None, *, after="", **which):
        return await super().list_sessions(user_id, after=after.lower(), **which)


class LeasesToAll(Store):
    leases = True


class Deduplicating(Store):
    async def append(self, session, messages):
        fresh = list({m.text or id(m): m for m in messages}.values())
        await super().append(session, fresh)


class _Contract(Breaks, SessionStoreContract):
    faulty: type[Store] = Store

    @pytest.fixture
    def subject(self):
        return Subject(plugin_of(self.faulty))


class TestInventing(_Contract):
    faulty = Inventing
    breaks = (
        "test_what_was_never_stored_is_not_there",
        "test_only_a_new_session_is_created_by_setting",
        "test_a_deleted_session_is_gone",
        "test_an_expired_session_is_not_there",
        "test_cleaning_up_removes_what_is_over_alone",
        "test_touching_takes_over_the_times_alone",
    )


class TestForgetsAuth(_Contract):
    faulty = ForgetsAuth
    breaks = ("test_a_session_comes_back_as_it_was_set",)


class TestStripsNul(_Contract):
    faulty = StripsNul
    breaks = ("test_messages_come_back_exactly",)


class TestPathKeys(_Contract):
    faulty = PathKeys
    breaks = ("test_ids_are_only_names",)


class TestSliceOfNothing(_Contract):
    faulty = SliceOfNothing
    breaks = ("test_a_tail_is_the_latest_messages",)


class TestCreatesEmpty(_Contract):
    faulty = CreatesEmpty
    breaks = ("test_appending_creates_a_session",)


class TestWritesState(_Contract):
    faulty = WritesState
    breaks = ("test_appending_takes_over_the_times_alone",)


class TestLosesUpdates(_Contract):
    faulty = LosesUpdates
    breaks = ("test_appending_never_conflicts",)


class TestSetsHistory(_Contract):
    faulty = SetsHistory
    breaks = ("test_setting_leaves_the_history",)


class TestLastOneWins(_Contract):
    faulty = LastOneWins
    breaks = (
        "test_setting_compares_versions",
        "test_one_of_many_setters_wins",
        "test_only_a_new_session_is_created_by_setting",
    )


class TestChecksThenWrites(_Contract):
    faulty = ChecksThenWrites
    breaks = ("test_one_of_many_setters_wins",)


class TestResurrects(_Contract):
    faulty = Resurrects
    breaks = ("test_only_a_new_session_is_created_by_setting",)


class TestOpenToAll(_Contract):
    faulty = OpenToAll
    breaks = ("test_another_user_is_refused",)


class TestShallow(_Contract):
    faulty = Shallow
    breaks = ("test_copies_are_apart",)


class TestKeepsMessages(_Contract):
    faulty = KeepsMessages
    breaks = ("test_a_deleted_session_is_gone",)


class TestNeverExpires(_Contract):
    faulty = NeverExpires
    breaks = ("test_an_expired_session_is_not_there",)


class TestCleansTooMuch(_Contract):
    faulty = CleansTooMuch
    breaks = ("test_cleaning_up_removes_what_is_over_alone",)


class TestTouchesAll(_Contract):
    faulty = TouchesAll
    breaks = ("test_touching_takes_over_the_times_alone",)


class TestListsEverybody(_Contract):
    faulty = ListsEverybody
    breaks = ("test_sessions_are_listed_by_user",)


class TestListsForever(_Contract):
    faulty = ListsForever
    breaks = ("test_sessions_are_listed_by_their_end",)


class TestPagesBySlices(_Contract):
    faulty = PagesBySlices
    breaks = ("test_a_long_list_comes_in_pages",)


class TestLeasesToAll(_Contract):
    faulty = LeasesToAll
    breaks = ("test_leases_keep_others_out",)


class TestDeduplicating(_Contract):
    faulty = Deduplicating
    breaks = ("test_turns_at_once_are_all_kept",)


class TestNotDurable(_Contract):
    durable = True
    breaks = ("test_a_durable_store_keeps_sessions",)
