"""How events travel: names every bus understands, and JSON that comes back as it was."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.errors import EventError
from dovetail.events.wire import check_topic, decode, encode, stamped, topic_matcher

MOST = 10_000_000
json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None, exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json, max_size=4))
def test_json_comes_back_exactly(event: dict[str, Any]) -> None:
    assert decode(encode(event, MOST)) == event


def test_times_and_ids_become_text() -> None:
    event = {"at": datetime(2026, 1, 31, tzinfo=UTC), "id": UUID(int=1), "tags": {"a"}}
    assert decode(encode(event, MOST)) == {
        "at": "2026-01-31T00:00:00Z",
        "id": "00000000-0000-0000-0000-000000000001",
        "tags": ["a"],
    }


def test_what_is_nested_too_deeply_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(EventError, match="cannot be written as JSON"):
        encode({"deep": deep}, MOST)


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[1]", b"null", b"{"])
def test_what_is_no_object_is_refused(payload: bytes) -> None:
    with pytest.raises(EventError, match="no JSON"):
        decode(payload)


def test_a_stamp_is_made_once() -> None:
    event: dict[str, Any] = {"a": 1}
    made = stamped(event)
    assert event == {"a": 1}
    assert UUID(made["event_id"]).version == 7
    assert datetime.fromisoformat(made["timestamp"]).tzinfo is not None
    assert stamped(made) == made


def test_brackets_side_by_side_or_in_a_text_are_not_deep() -> None:
    event = {"many": [[]] * 500, "text": '\\"' + "[" * 500}
    assert decode(encode(event, MOST)) == event
    with pytest.raises(EventError, match="nested more than 200 deep"):
        encode(decode(b'{"deep":' + b"[" * 200 + b"]" * 200 + b"}"), MOST)


def test_a_time_of_the_publishers_may_be_a_datetime() -> None:
    at = datetime(2026, 1, 31, tzinfo=UTC)
    assert stamped({"timestamp": at})["timestamp"] is at


@pytest.mark.parametrize(
    ("pattern", "topic", "wanted"),
    [
        ("memory.created", "memory.created", True),
        ("memory.created", "memory.created2", False),
        ("memory.created", "memoryxcreated", False),
        ("memory.*", "memory.created", True),
        ("memory.*", "memory.entity.extracted", True),
        ("memory.*", "memory", False),
        ("*", "anything.at.all", True),
        ("*.created", "agent.created", True),
        ("a*c*e", "abcde", True),
        ("a*c*e", "abde", False),
        ("memory.*", "memory.created.dead", False),
        ("*", "memory.created.dead", False),
        ("*.dead", "memory.created.dead", True),
        ("memory.created.dead", "memory.created.dead", True),
    ],
)
def test_a_pattern_matches_whole_topics(pattern: str, topic: str, wanted: bool) -> None:
    assert bool(topic_matcher(pattern)(topic)) is wanted


@given(st.text(max_size=300))
def test_a_topic_is_letters_digits_dots_and_dashes(topic: str) -> None:
    plain = (
        topic.isascii() and topic.replace("_", "a").replace("-", "a").replace(".", "a").isalnum()
    )
    if plain and len(topic) <= 200:
        check_topic(topic)
    else:
        with pytest.raises(EventError, match="is no topic: up to 200 letters"):
            check_topic(topic)
