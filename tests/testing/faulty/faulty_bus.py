"""Event buses that each break one promise; `breaks` names the tests that must notice."""
# mypy: ignore-errors
# They are wrong on purpose.

import asyncio
import inspect
import json

import pytest
from breaks import Breaks

from dovetail import BusEvent, EventError, InProcessEventBus
from dovetail.events.in_process import InProcessBusSettings
from dovetail.testing.event_bus import EventBusContract

STAMPS = ("event_id", "timestamp")


class StripsNul(InProcessEventBus):
    async def publish(self, topic, event, *, key=None):
        if isinstance(event, dict) and "\x00" in str(event.get("text", "")):
            event = {**event, "text": event["text"].replace("\x00", "")}
        return await super().publish(topic, event, key=key)


class StampsAgain(InProcessEventBus):
    async def publish(self, topic, event, *, key=None):
        if isinstance(event, dict) and event.get("event_id") == "my-1":
            event = {k: v for k, v in event.items() if k not in STAMPS}
        return await super().publish(topic, event, key=key)


class OneGroup(InProcessEventBus):
    async def subscribe(self, topic, handler, *, group):
        group = "g" if group in ("one", "two", "failing", "fine") else group
        return await super().subscribe(topic, handler, group=group)


class NoGroups(InProcessEventBus):
    members = 0

    async def subscribe(self, topic, handler, *, group):
        self.members += 1
        group = group if self.members == 1 else f"{group}-{self.members}"
        return await super().subscribe(topic, handler, group=group)


class Prefixes(InProcessEventBus):
    async def subscribe(self, topic, handler, *, group):
        topic = topic if topic.endswith(".dead") else f"{topic}*"
        return await super().subscribe(topic, handler, group=group)


class NoPatterns(InProcessEventBus):
    async def subscribe(self, topic, handler, *, group):
        return await super().subscribe(topic.replace("*", "-"), handler, group=group)


class Unordered(InProcessEventBus):
    count = 0

    async def publish(self, topic, event, *, key=None):
        self.count += 1
        return await super().publish(topic, event, key=key and self.other(key))

    def other(self, key):
        return f"{key}.{self.count}" if isinstance(key, str) else key


class LosesSome(InProcessEventBus):
    count = 0

    async def publish(self, topic, event, *, key=None):
        self.count += 1
        return "lost" if self.count % 100 == 99 else await super().publish(topic, event, key=key)


class Shares(InProcessEventBus):
    async def subscribe(self, topic, handler, *, group):
        shared = self.__dict__.setdefault("shared", {})

        async def sharing(event):
            data = shared.setdefault(event.event_id, event.data)
            await handler(BusEvent(event.topic, data, attempt=event.attempt, key=event.key))

        return await super().subscribe(topic, sharing, group=group)


class TakesAnything(InProcessEventBus):
    async def publish(self, topic, event, *, key=None):
        event = json.loads(json.dumps(event, default=str, check_circular=True, skipkeys=True))
        return await super().publish(topic, event, key=key)


class NeverLeaves(InProcessEventBus):
    async def subscribe(self, topic, handler, *, group):
        subscription = await super().subscribe(topic, handler, group=group)

        async def close():
            """Do nothing."""

        subscription.close = close
        return subscription


class DropsAtTheEnd(InProcessEventBus):
    async def stop(self):
        self.settings = self.settings.model_copy(update={"drain_timeout": 0})
        await super().stop()


class QuietWhenStopped(InProcessEventBus):
    async def publish(self, topic, event, *, key=None):
        return await super().publish(topic, event, key=key) if self._running else ""


class LeavesTasks(InProcessEventBus):
    async def start(self):
        await super().start()
        self.left = asyncio.create_task(asyncio.Event().wait())


class TakesFunctionsOnly(InProcessEventBus):
    async def subscribe(self, topic, handler, *, group):
        if not inspect.isfunction(handler):
            raise EventError("no function")
        return await super().subscribe(topic, handler, group=group)


class Faulty(Breaks, EventBusContract):
    patience = 1.0
    many = 120
    kind = InProcessEventBus

    @pytest.fixture
    async def bus(self):
        settings = InProcessBusSettings(
            attempts=3, first_wait=0, handler_timeout=0.1, drain_timeout=1
        )
        async with self.kind(settings) as bus:
            yield bus


class TestStripsNul(Faulty):
    kind = StripsNul
    breaks = ("test_an_event_arrives_as_it_was_published",)


class TestStampsAgain(Faulty):
    kind = StampsAgain
    breaks = ("test_stamps_that_are_there_are_kept",)


class TestOneGroup(Faulty):
    kind = OneGroup
    breaks = (
        "test_every_group_gets_every_event",
        "test_what_a_handler_changes_is_its_own",
        "test_other_groups_do_not_get_it_again",
    )


class TestNoGroups(Faulty):
    kind = NoGroups
    breaks = (
        "test_one_member_of_a_group_gets_each_event",
        "test_events_with_one_key_come_in_order",
    )


class TestPrefixes(Faulty):
    kind = Prefixes
    breaks = ("test_topics_do_not_mix",)


class TestNoPatterns(Faulty):
    kind = NoPatterns
    breaks = (
        "test_a_pattern_subscribes_to_many_topics",
        "test_dead_letters_can_be_subscribed_to_by_their_name_alone",
    )


class TestUnordered(Faulty):
    kind = Unordered
    breaks = (
        "test_events_with_one_key_come_in_order",
        "test_one_that_fails_holds_those_with_its_key_and_no_others",
    )


class TestLosesSome(Faulty):
    kind = LosesSome
    breaks = ("test_none_of_many_is_lost",)


class TestShares(Faulty):
    kind = Shares
    breaks = ("test_what_a_handler_changes_is_its_own",)


class TestTakesAnything(Faulty):
    kind = TakesAnything
    breaks = ("test_what_no_bus_can_carry_is_refused",)


class TestNeverLeaves(Faulty):
    kind = NeverLeaves
    breaks = ("test_who_has_left_gets_nothing",)


class TestDropsAtTheEnd(Faulty):
    kind = DropsAtTheEnd
    breaks = ("test_stopping_delivers_what_was_published",)


class TestQuietWhenStopped(Faulty):
    kind = QuietWhenStopped
    breaks = ("test_a_bus_that_has_stopped_says_so",)


class TestLeavesTasks(Faulty):
    kind = LeavesTasks
    breaks = ("test_stopping_leaves_nothing_behind",)


class TestTakesFunctionsOnly(Faulty):
    kind = TakesFunctionsOnly
    breaks = ("test_its_two_faces_work",)
