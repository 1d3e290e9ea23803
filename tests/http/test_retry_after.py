"""When a server says to come again, in each of its three forms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dovetail.http.retry_after import retry_after, should_retry


@given(st.floats(0, 1e6, allow_nan=False).map(lambda number: round(number, 3)))
def test_seconds_and_milliseconds(seconds: float) -> None:
    assert retry_after({"retry-after": str(seconds)}) == seconds
    in_milliseconds = retry_after({"retry-after-ms": str(seconds), "retry-after": "99"})
    assert in_milliseconds == pytest.approx(seconds / 1000)


@given(st.integers(2, 10**6), st.integers(-14, 14))
def test_a_date_in_any_zone(seconds: int, zone: int) -> None:
    when = datetime.now(UTC) + timedelta(seconds=seconds)
    there = format_datetime(when.astimezone(timezone(timedelta(hours=zone))))
    for text in (format_datetime(when, usegmt=True), there):
        found = retry_after({"retry-after": text})
        assert found is not None
        assert seconds - 2 < found <= seconds


def test_a_date_that_has_passed_means_now() -> None:
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0


@pytest.mark.parametrize(
    "text", ["", "soon", "-1", "nan", "inf", "1e999", "Wed, 99 Oct 2015", "1,5", "0x10"]
)
def test_what_cannot_be_understood_is_nothing(text: str) -> None:
    assert retry_after({"retry-after": text}) is None
    assert retry_after({"retry-after-ms": text}) is None


@given(st.text(), st.text())
@example("", "Mon, 01 Jan 99999 00:00:00 GMT")
@example("", "Mon, 01 Jan 2024 00:00:00 +99999999999999")
@example("", "Mon, 01 Jan 2024 00:00:00 -9999")
@example("", "Thu, 01 Jan 0001 00:00:00 +1400")
@example("", "9" * 5000)
def test_whatever_it_says_it_is_a_time_to_wait_or_nothing(first: str, second: str) -> None:
    found = retry_after({"retry-after-ms": first, "retry-after": second})
    assert found is None or 0 <= found < float("inf")


def test_nothing_said() -> None:
    assert retry_after({}) is None
    assert should_retry({}) is None


def test_whether_to_try_again_can_be_told() -> None:
    assert should_retry({"x-should-retry": "True"}) is True
    assert should_retry({"x-should-retry": "false"}) is False
    assert should_retry({"x-should-retry": "maybe"}) is None
