"""Event providers that each break one promise; `breaks` names the tests that must notice."""
# mypy: ignore-errors
# They are wrong on purpose.

import asyncio

import pytest
from breaks import Breaks

from dovetail import EventProvider
from dovetail.testing import Subject, plugin_of
from dovetail.testing.event_provider import EventProviderContract

KNOWN = {"session_id", "user_id"}


class Listener(EventProvider):
    events = ("session_deleted",)

    async def handle_event(self, event, data):
        """Do nothing."""


class WantsNothing(Listener):
    events = ()


class OddDelivery(Listener):
    delivery = "sometimes"


class Misspelt(Listener):
    events = ("session_deleted", "sesion_created")


class Strict(Listener):
    async def handle_event(self, event, data):
        if set(data) - KNOWN:
            raise TypeError("what is this?")


class Changes(Listener):
    async def handle_event(self, event, data):
        data["seen"] = True


class ExpectsDictionaries(Listener):
    events = ("*",)

    async def handle_event(self, event, data):
        data.get("session_id")


class OneAtATime(Listener):
    busy = False

    async def handle_event(self, event, data):
        if self.busy:
            raise RuntimeError("one after the other, please")
        self.busy = True
        try:
            await asyncio.sleep(0)
        finally:
            self.busy = False


class Clings(Listener):
    async def handle_event(self, event, data):
        try:
            await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            await asyncio.Event().wait()


class TooSlow(Listener):
    handler_timeout = 0.01

    async def handle_event(self, event, data):
        await asyncio.sleep(0.2)


class Faulty(Breaks, EventProviderContract):
    patience = 1.0
    kind = Listener

    @pytest.fixture
    def subject(self):
        return Subject(plugin_of(self.kind))


class TestWantsNothing(Faulty):
    kind = WantsNothing
    breaks = ("test_it_says_which_events_it_wants",)


class TestOddDelivery(Faulty):
    kind = OddDelivery
    breaks = ("test_its_delivery_can_be_what_it_says",)


class TestMisspelt(Faulty):
    kind = Misspelt
    breaks = ("test_it_handles_every_event_it_asks_for",)


class TestStrict(Faulty):
    kind = Strict
    breaks = ("test_data_may_grow",)


class TestChanges(Faulty):
    kind = Changes
    breaks = ("test_it_changes_nothing_it_is_told",)


class TestExpectsDictionaries(Faulty):
    kind = ExpectsDictionaries
    breaks = ("test_who_asks_for_everything_can_take_anything",)


class TestOneAtATime(Faulty):
    kind = OneAtATime
    breaks = ("test_many_at_once",)


class TestClings(Faulty):
    kind = Clings
    breaks = ("test_it_can_be_cancelled",)


class TestTooSlow(Faulty):
    kind = TooSlow
    breaks = ("test_it_is_told_through_a_dispatcher",)
