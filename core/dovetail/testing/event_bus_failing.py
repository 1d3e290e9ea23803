"""The part of `EventBusContract` on handlers that fail: again, in order, and in the end dead."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from dovetail.events.bus import BusEvent
from dovetail.ids import new_id
from dovetail.testing.leaks import within
from dovetail.testing.loop import BoundedLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from dovetail.events.bus import EventBus


class FailingHandlersContract:
    """Part of `EventBusContract`; subclass that."""

    pytestmark = pytest.mark.anyio

    patience: ClassVar[float] = 60.0
    """Seconds that what a test waits for may take."""

    @pytest.fixture(scope="session")
    @staticmethod
    def anyio_backend() -> tuple[str, dict[str, Any]]:
        """The kernel is an asyncio program, on a loop that nothing holds for ever."""
        return "asyncio", {"loop_factory": BoundedLoop}

    @pytest.fixture
    def bus(self) -> EventBus:
        """What is tested; override it."""
        pytest.fail("give a fixture `bus` that yields a started bus, and stops it")

    async def test_a_handler_that_raises_is_given_the_event_again(self, bus: EventBus) -> None:
        """The same event, `attempt` counting up, until the handler returns; not once more.

        Mend: acknowledge only when the handler has returned; count deliveries.
        """
        topic, seen = _topic(), list[tuple[str, int]]()

        async def handler(event: BusEvent) -> None:
            seen.append((event.event_id, event.attempt))
            if event.attempt < 3:
                raise ValueError("not yet")

        await bus.subscribe(topic, handler, group="g")
        event_id = await bus.publish(topic, {})
        await self.until(lambda: len(seen) >= 3, "it was not given three times")
        await self._passed(bus)
        assert seen == [(event_id, 1), (event_id, 2), (event_id, 3)], f"it came as {seen}"
        assert await bus.dead_letters(topic) == []

    async def test_other_groups_do_not_get_it_again(self, bus: EventBus) -> None:
        """A group whose handler returned is done with the event, whatever others do.

        Mend: acknowledge for each group.
        """
        topic, failing, fine = _topic(), list[int](), list[int]()

        async def fails(event: BusEvent) -> None:
            failing.append(event.attempt)
            if event.attempt < 3:
                raise ValueError("not yet")

        async def works(event: BusEvent) -> None:
            fine.append(event.attempt)

        await bus.subscribe(topic, fails, group="failing")
        await bus.subscribe(topic, works, group="fine")
        await bus.publish(topic, {})
        await self.until(lambda: len(failing) >= 3, "it was not given three times")
        assert fine == [1]

    @pytest.mark.parametrize("kind", ["hangs", "cancelled", "system exit"])
    async def test_whatever_a_handler_does_it_is_given_again(
        self, bus: EventBus, kind: str
    ) -> None:
        """A handler that hangs, or raises what is no `Exception`, has failed like any other.

        Mend: limit a handler by `handler_timeout`; catch `BaseException` around it, and let pass
        only a cancel of your own.
        """
        topic, attempts = _topic(), list[int]()

        async def handler(event: BusEvent) -> None:
            attempts.append(event.attempt)
            if event.attempt > 1:
                return
            if kind == "hangs":
                await asyncio.Event().wait()
            raise asyncio.CancelledError if kind == "cancelled" else SystemExit

        await bus.subscribe(topic, handler, group="g")
        await bus.publish(topic, {})
        await self.until(lambda: len(attempts) >= 2, "it was not given again")

    async def test_after_its_attempts_it_is_a_dead_letter(self, bus: EventBus) -> None:
        """What failed `attempts` times is not given again, and `dead_letters` tells of it.

        Mend: then publish it to `<topic>.dead` with `dead_letter` added, and acknowledge it.
        """
        topic, attempts = _topic(), list[int]()

        async def handler(event: BusEvent) -> None:
            attempts.append(event.attempt)
            raise ValueError("cannot log in with password=hunter2hunter2")

        await bus.subscribe(topic, handler, group="g")
        event_id = await bus.publish(topic, {"a": [1]})
        letters = await self._letters(bus, topic)
        await self._passed(bus)
        assert len(letters) == 1, f"there are {len(letters)}"
        assert attempts == [*range(1, len(attempts) + 1)]
        assert len(attempts) >= 3
        letter = letters[0]
        assert (letter.topic, letter.event_id, letter.data["a"]) == (f"{topic}.dead", event_id, [1])
        about = letter.data["dead_letter"]
        assert (about["topic"], about["group"]) == (topic, "g"), f"it says {about}"
        assert about["attempts"] == len(attempts), f"it says {about}"
        assert "ValueError" in about["error"], f"it says {about}"
        assert "hunter2" not in about["error"], "a secret is shown"

    async def test_dead_letters_can_be_subscribed_to_by_their_name_alone(
        self, bus: EventBus
    ) -> None:
        """`<topic>.dead` is a topic; `<topic>*` does not match it, or one failure begets more.

        Mend: use `topic_matcher` of `dovetail.events.wire`.
        """
        topic, dead, everything = _topic(), list[BusEvent](), list[BusEvent]()

        async def fails(_: BusEvent) -> None:
            raise ValueError("never")

        async def note_dead(event: BusEvent) -> None:
            dead.append(event)

        async def note_all(event: BusEvent) -> None:
            everything.append(event)

        await bus.subscribe(topic, fails, group="g")
        await bus.subscribe(f"{topic}.dead", note_dead, group="undertakers")
        await bus.subscribe(f"{topic}*", note_all, group="all")
        event_id = await bus.publish(topic, {})
        await self.until(lambda: dead, "the dead letter did not come")
        await self._passed(bus)
        assert [event.event_id for event in dead] == [event_id]
        assert [event.topic for event in everything] == [topic]

    async def test_the_latest_dead_letters_are_told_oldest_first(self, bus: EventBus) -> None:
        """`last` limits how many; 0 is none.

        Mend: read from the end, and turn the result round.
        """
        topic = _topic()

        async def fails(_: BusEvent) -> None:
            raise ValueError("never")

        await bus.subscribe(topic, fails, group="g")
        for number in range(3):
            await bus.publish(topic, {"n": number}, key="k")
        letters = await self._letters(bus, topic, 3)
        assert [letter.data["n"] for letter in letters] == [0, 1, 2]
        assert [x.data["n"] for x in await bus.dead_letters(topic, last=2)] == [1, 2]
        assert await bus.dead_letters(topic, last=0) == []

    async def test_one_that_fails_holds_those_with_its_key_and_no_others(
        self, bus: EventBus
    ) -> None:
        """While an event waits to be given again, others go on; those with its key come after it.

        Mend: do not sleep in the task that takes events; keep back only those with its key.
        """
        topic, seen = _topic(), list[Any]()
        gate = asyncio.Event()

        async def handler(event: BusEvent) -> None:
            seen.append(event.data["n"])
            if event.data["n"] == "a1" and not gate.is_set():
                if "b1" in seen:
                    gate.set()
                raise ValueError("not yet")

        await bus.subscribe(topic, handler, group="g")
        for number in ("a1", "a2", "b1"):
            await bus.publish(topic, {"n": number}, key=number[0])
        await self.until(lambda: "a2" in seen, "the second did not come")
        assert seen.index("b1") < len(seen) - 1 - seen[::-1].index("a1"), f"came as {seen}"
        assert seen.index("a2") > len(seen) - 1 - seen[::-1].index("a1"), f"came as {seen}"

    async def until(self, true: Callable[[], object], what: str) -> None:
        """Return as soon as `true()` is; fail with `what` after `patience`."""
        async with self.in_time(what):
            while not true():  # noqa: ASYNC110 - a bus gives out no event for this
                await asyncio.sleep(0.002)

    @asynccontextmanager
    async def in_time(self, what: str) -> AsyncIterator[None]:
        """Fail, saying that `what` did not come, if the body takes longer than `patience`."""
        async with within(self.patience, what):
            yield

    async def _letters(self, bus: EventBus, topic: str, count: int = 1) -> list[BusEvent]:
        letters: list[BusEvent] = []
        async with self.in_time("no dead letter came"):
            while len(letters) < count:
                await asyncio.sleep(0.002)
                letters = [*await bus.dead_letters(topic)]
        return letters

    async def _passed(self, bus: EventBus) -> None:
        """Return when another event has gone through the bus: what was due before it has come."""
        topic, came = _topic(), asyncio.Event()

        async def handler(_: BusEvent) -> None:
            came.set()

        await bus.subscribe(topic, handler, group="g")
        await bus.publish(topic, {})
        async with self.in_time("an event did not come"):
            await came.wait()


def _topic() -> str:
    return f"contract.{new_id()}"
