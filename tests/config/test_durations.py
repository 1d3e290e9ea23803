"""Lengths of time as an operator writes them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from dovetail.config.durations import Duration, nearest_duration, parse_duration


class Limits(BaseModel):
    timeout: Duration = 30.0


def seconds(value: object) -> float:
    return Limits.model_validate({"timeout": value}).timeout


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (0, 0),
        (1.5, 1.5),
        ("90", 90),
        ("0.25", 0.25),
        ("500ms", 0.5),
        ("90s", 90),
        (" 5m ", 300),
        ("1h", 3600),
        ("1.5h", 5400),
        ("2d", 172_800),
        ("1h30m", 5400),
        ("1d2h3m4s5ms", 93_784.005),
        (timedelta(minutes=2), 120),
    ],
)
def test_numbers_are_seconds_and_text_has_units(written: object, meant: float) -> None:
    assert seconds(written) == pytest.approx(meant)


WRONG = [
    "",
    "soon",
    "h",
    "1 h",
    "30m1h",
    "1h1h",
    "1H",
    "-1s",
    "1e3",
    "1_000",
    "٣s",
    "9" * 400,
    "1.s",
]


@pytest.mark.parametrize(
    "written", [*WRONG, -1, float("nan"), float("inf"), 10**400, True, None, [1], timedelta(-1)]
)
def test_anything_else_is_refused_and_the_forms_are_told(written: object) -> None:
    with pytest.raises(ValidationError) as caught:
        seconds(written)
    (error,) = caught.value.errors()
    assert '"500ms", "90s", "5m", "1h30m" or "2d"' in error["msg"]


@given(st.integers(0, 99), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_the_parts_add_up(days: int, hours: int, minutes: int, secs: int) -> None:
    whole = timedelta(days=days, hours=hours, minutes=minutes, seconds=secs)
    assert seconds(f"{days}d{hours}h{minutes}m{secs}s") == whole.total_seconds()


@given(st.text(alphabet="0123456789.dhms -", max_size=8))
def test_the_json_schema_allows_the_same_text(text: str) -> None:
    options = Limits.model_json_schema()["properties"]["timeout"]["anyOf"]
    (pattern,) = (option["pattern"] for option in options if option["type"] == "string")
    try:
        seconds(text)
    except ValidationError:
        allowed = False
    else:
        allowed = True
    assert bool(re.search(pattern, text.strip())) == allowed


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("1 hour", "1h"),
        ("90 Seconds", "90s"),
        ("1 hour and 30 minutes", "1h30m"),
        ("2 days, 3 hrs", "2d3h"),
        ("1.5 h", "1.5h"),
        ("250 milliseconds", "250ms"),
        ("soon", None),
        ("1 fortnight", None),
        ("30 minutes 1 hour", None),
        ("1 hour or so", None),
        ("", None),
    ],
)
def test_a_length_of_time_in_words_has_its_right_form(said: str, meant: str | None) -> None:
    assert nearest_duration(said) == meant
    assert meant is None or parse_duration(meant) > 0
