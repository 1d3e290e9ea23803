"""Who is told of which event, in which order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dovetail import Settings
from dovetail.errors import EventError
from dovetail.events.provider import EventProvider, EventSettings
from dovetail.events.registry import KNOWN_NAMES, ProviderRegistry
from tests.events.listeners import Listener


def registry_of(*providers: EventProvider) -> ProviderRegistry:
    registry = ProviderRegistry()
    for provider in providers:
        registry.register(provider)
    return registry


def names(registry: ProviderRegistry, event: str) -> list[str]:
    return [provider.instance for provider in registry.get(event)]


def test_a_provider_is_found_by_the_events_it_names() -> None:
    registry = registry_of(Listener("a", ["x", "y"]), Listener("b", ["y"]))
    assert names(registry, "x") == ["a"]
    assert names(registry, "y") == ["a", "b"]
    assert names(registry, "z") == []


@pytest.mark.parametrize(
    ("pattern", "event", "wanted"),
    [
        ("*", "anything", True),
        ("agent_*", "agent_start", True),
        ("agent_*", "model_complete", False),
        ("agent_?tart", "agent_start", True),
        ("session_[cd]*", "session_created", True),
        ("session_[cd]*", "session_busy", False),
        ("Agent_*", "agent_start", False),
        ("agent.start", "agent_start", False),
        ("line*", "line\nbreak", True),
    ],
)
def test_patterns_are_those_of_a_shell(pattern: str, event: str, wanted: bool) -> None:
    assert bool(registry_of(Listener("a", [pattern])).get(event)) is wanted


def test_a_pattern_that_matches_nothing_harms_nobody() -> None:
    registry = registry_of(Listener("a", ["nothing_like_this_*"]), Listener("b", ["x"]))
    assert names(registry, "x") == ["b"]


def test_a_provider_that_wants_no_event_is_told_of_none() -> None:
    assert names(registry_of(Listener("a", [])), "x") == []


def test_a_provider_is_told_once_however_many_of_its_patterns_match() -> None:
    assert names(registry_of(Listener("a", ["*", "x", "x*"])), "x") == ["a"]


@given(st.lists(st.integers(-3, 3), max_size=12))
def test_the_lowest_priority_comes_first_and_equals_as_registered(priorities: list[int]) -> None:
    listeners = [Listener(str(n), priority=p) for n, p in enumerate(priorities)]
    registry = registry_of(*listeners)
    expected = sorted(range(len(priorities)), key=lambda n: (priorities[n], n))
    assert names(registry, "x") == [str(n) for n in expected]


def test_what_was_found_before_is_forgotten_when_the_registry_changes() -> None:
    registry = registry_of(Listener("a"))
    assert names(registry, "x") == ["a"]
    registry.register(Listener("b", priority=-1))
    assert names(registry, "x") == ["b", "a"]
    registry.unregister("a")
    assert names(registry, "x") == ["b"]


def test_endless_new_names_take_no_endless_memory() -> None:
    registry = registry_of(Listener("a", ["x*"]))
    for number in range(KNOWN_NAMES * 2):
        registry.get(f"x{number}")
    assert len(vars(registry)["_found"]) <= KNOWN_NAMES


def test_a_name_is_taken_once() -> None:
    registry = registry_of(Listener("a"))
    with pytest.raises(EventError, match="`a` is registered already"):
        registry.register(Listener("a"))


def test_a_provider_without_an_instance_has_the_name_of_its_class() -> None:
    registry = ProviderRegistry()
    registry.register(Listener(""))
    assert [item.name for item in registry.registrations()] == ["listener"]


def test_who_is_not_there_cannot_be_taken_out() -> None:
    with pytest.raises(EventError, match="no event provider `a`"):
        registry_of().unregister("a")


@pytest.mark.parametrize("events", ["agent_complete", None, 3, {"x": 1}])
def test_events_that_are_no_list_are_refused(events: Any) -> None:
    with pytest.raises(EventError, match=r"`Listener.events` is .* must be a list of names"):
        registry_of(Listener("a", events))


@pytest.mark.parametrize("event", [None, "", 7])
def test_events_that_are_no_names_are_refused(event: Any) -> None:
    with pytest.raises(EventError, match="which is no name of an event"):
        registry_of(Listener("a", [event]))


def test_a_refused_provider_is_not_in_it() -> None:
    registry = ProviderRegistry()
    with pytest.raises(EventError):
        registry.register(Listener("a", "x"))
    assert registry.registrations() == ()


def test_providers_shows_who_asked_for_what() -> None:
    early, late = Listener("early", ["x", "y*"], priority=-1), Listener("late", ["x"])
    assert registry_of(late, early).providers == {"x": [early, late], "y*": [early]}


class Lasting(Listener):
    """Notes when it starts and stops; fails at what `fails` names."""

    fails = ""

    async def initialize(self) -> None:
        self.heard.append(f"{self.instance} starts")
        if self.fails == "start":
            raise OSError("no room")

    async def stop(self) -> None:
        self.heard.append(f"{self.instance} stops")
        if self.fails == "stop":
            raise OSError("still busy")


async def test_a_host_without_a_kernel_starts_and_stops_them_in_order() -> None:
    notes: list[Any] = []
    registry = registry_of(
        Lasting("b", heard=notes), Lasting("a", heard=notes, priority=-1, delivery="queued")
    )
    await registry.start()
    await registry.stop()
    assert notes == ["a starts", "b starts", "b stops", "a stops"]


async def test_when_one_does_not_start_those_before_it_are_stopped() -> None:
    notes: list[Any] = []
    registry = registry_of(
        *(Lasting(name, heard=notes, fails="start" * (name == "b")) for name in "abc")
    )
    with pytest.raises(OSError, match="no room"):
        await registry.start()
    assert notes == ["a starts", "b starts", "b stops", "a stops"]


async def test_when_one_does_not_stop_the_others_do() -> None:
    notes: list[Any] = []
    registry = registry_of(
        *(Lasting(name, heard=notes, fails="stop" * (name == "b")) for name in "abc")
    )
    with pytest.raises(ExceptionGroup, match="failed to stop"):
        await registry.stop()
    assert notes == ["c stops", "b stops", "a stops"]


class OwnSettings(EventSettings):
    """As a plugin writes them."""

    colour: str = "red"


class Configured(Listener):
    """A provider that an operator may configure."""

    settings: OwnSettings
    priority = 7
    delivery = "queued"
    handler_timeout = 2.0


def test_what_an_operator_sets_wins_and_the_rest_is_the_plugins_own() -> None:
    provider = Configured("a")
    provider.settings = OwnSettings.model_validate({"priority": 3, "drain_timeout": "2m"})
    options = ProviderRegistry().register(provider).options
    assert (options.priority, options.drain_timeout) == (3, 120.0)
    assert (options.delivery, options.handler_timeout) == ("queued", 2.0)
    assert (options.queue_size, options.when_full) == (1000, "wait")


def test_other_settings_leave_delivery_to_the_class() -> None:
    class Plain(Settings):
        priority: int = 99

    provider = Configured("a")
    provider.settings = Plain()  # type: ignore[assignment]
    assert ProviderRegistry().register(provider).options.priority == 7


def test_a_provider_that_says_nothing_is_told_inline() -> None:
    registration = ProviderRegistry().register(Listener("a"))
    assert registration.options.delivery == "inline"
    assert registration.mailbox is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"delivery": "later"},
        {"queue_size": 0},
        {"when_full": "panic"},
        {"handler_timeout": 0},
        {"colur": "red"},
    ],
)
def test_a_mistake_in_the_settings_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OwnSettings.model_validate(wrong)


def test_every_setting_is_described() -> None:
    assert all(field.description for field in EventSettings.model_fields.values())
