"""An event says what happened, when, and which it is."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from dovetail.events.event import Event


def test_an_event_has_what_it_was_made_with() -> None:
    event = Event("order_paid", {"total": 3}, metadata={"shop": "north"})
    assert (event.name, event.data, event.metadata) == (
        "order_paid",
        {"total": 3},
        {"shop": "north"},
    )


def test_its_time_is_aware_and_now() -> None:
    event = Event("x")
    assert event.timestamp.tzinfo is UTC
    assert abs(datetime.now(UTC) - event.timestamp) < timedelta(minutes=1)


def test_its_id_and_its_time_stay_what_they_were_when_first_asked_for() -> None:
    event = Event("x")
    assert UUID(event.event_id).version == 7
    assert event.event_id == event.event_id
    assert event.timestamp is event.timestamp


def test_events_have_ids_of_their_own() -> None:
    assert Event("x").event_id != Event("x").event_id


def test_a_time_in_another_zone_becomes_utc() -> None:
    given = datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=2)))
    event = Event("x", timestamp=given)
    assert event.timestamp == given
    assert event.timestamp.tzinfo is UTC


def test_a_time_may_be_seconds() -> None:
    assert Event("x", timestamp=0).timestamp == datetime(1970, 1, 1, tzinfo=UTC)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="says nothing of its time zone"):
        Event("x", timestamp=datetime(2026, 1, 31))  # noqa: DTZ001 - that is the mistake


@pytest.mark.parametrize("name", ["name", "data", "metadata", "timestamp", "event_id"])
def test_nothing_of_it_can_be_replaced(name: str) -> None:
    event = Event("x")
    with pytest.raises(AttributeError):
        setattr(event, name, "other")
    with pytest.raises(AttributeError):
        event.anything = 1  # type: ignore[attr-defined]


def test_notes_of_middleware_are_not_those_of_another_event() -> None:
    given = {"a": 1}
    first, second = Event("x", metadata=given), Event("x", metadata=given)
    first.metadata["note"] = 1
    Event("x").metadata["note"] = 1
    assert second.metadata == given == {"a": 1}
    assert Event("x").metadata == {}


def test_what_it_shows_of_itself_holds_no_data() -> None:
    assert repr(Event("login", {"password": "hunter2"})) == "<Event 'login'>"


def test_all_of_it_is_a_dictionary_for_json() -> None:
    event = Event("x", {"a": 1}, metadata={"b": 2})
    again = json.loads(json.dumps(event.to_dict()))
    assert again == {
        "name": "x",
        "data": {"a": 1},
        "metadata": {"b": 2},
        "timestamp": event.timestamp.isoformat(),
        "event_id": event.event_id,
    }


@pytest.mark.parametrize("again", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_a_copy_is_the_same_event(again: object) -> None:
    event = Event("x", [1])
    event.event_id  # noqa: B018 - made before it is copied
    assert callable(again)
    assert again(event).to_dict() == event.to_dict()
