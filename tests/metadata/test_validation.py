"""Values checked against a model, with problems that a person can act on."""

from __future__ import annotations

import copy
import pickle
import traceback
from types import MappingProxyType
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, Field, SecretStr, field_validator

from dovetail.errors import DovetailError, Problem, ValidationFailed
from dovetail.metadata.model import MetadataModel
from dovetail.metadata.validation import validated, validation_problems


class Line(MetadataModel):
    title: str
    price: int = Field(0, ge=0, description="In cents.")


class Order(MetadataModel):
    lines: list[Line] = []
    counts: dict[int, Line] = {}
    mode: Literal["fast", "exact"] = "fast"
    password: int = 0
    pin: SecretStr = SecretStr("")
    pins: dict[int, SecretStr] = {}
    note: str = ""

    @field_validator("note")
    @classmethod
    def _indiscreet(cls, value: str, info: Any) -> str:
        if value:
            message = f"{value} was said with {info.data['pin'].get_secret_value()}"
            raise ValueError(message)
        return value


def only(values: dict[str, Any]) -> Problem:
    (problem,) = validation_problems(Order, values)
    return problem


def test_right_values_have_no_problems_and_make_the_model() -> None:
    values = {"lines": [{"title": "board", "price": "7"}], "mode": "exact"}
    assert validation_problems(Order, values) == []
    assert validated(Order, values) == Order(lines=[Line(title="board", price=7)], mode="exact")


def test_any_mapping_holds_values() -> None:
    assert validated(Line, MappingProxyType({"title": "board"})) == Line(title="board")
    assert validation_problems(Line, MappingProxyType({"title": 1}))[0].where == "title"


def test_every_mistake_is_told_with_its_path_and_a_way_out() -> None:
    problems = validation_problems(
        Order, {"lines": ({"title": "a"}, {"price": -1}), "mode": "fats", "nite": ""}
    )
    assert "\n".join(map(str, problems)) == (
        "lines[1].title: `lines[1].title` is missing\n"
        "lines[1].price: `lines[1].price` should be greater than or equal to 0; got -1\n"
        "    → In cents.\n"
        "mode: `mode` should be 'fast' or 'exact'; got \"fats\"\n"
        '    → did you mean "fast"?\n'
        "nite: there is no key `nite` here\n"
        "    → did you mean `note`?"
    )


def test_keys_that_are_no_text_have_a_path_too() -> None:
    problem = only({"counts": {3: {"title": None}}})
    assert problem.where == "counts.3.title"
    assert problem.message.endswith("got None")


@pytest.mark.parametrize(
    "values",
    [
        {"password": "hunter22"},
        {"pin": 55555555},
        {"pins": {1: 55555555}},
        {"pins": {"x": "55555555"}},
        {"pin": "55555555", "note": "it"},
        {"pin": "55555555", "mode": "55555555"},
        {"pin": {"deep": ["55555555"]}},
    ],
    ids=str,
)
def test_no_secret_is_shown(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationFailed) as failed:
        validated(Order, values)
    told = "".join(traceback.format_exception(failed.value))
    assert "55555555" not in told
    assert "hunter22" not in told
    assert failed.value.problems


def test_an_error_holds_every_problem_and_names_the_model() -> None:
    with pytest.raises(ValidationFailed) as failed:
        validated(Order, {"mode": 1, "password": "x"})
    assert isinstance(failed.value, DovetailError)
    assert failed.value.problems == tuple(validation_problems(Order, {"mode": 1, "password": "x"}))
    assert str(failed.value) == (
        "the values do not fit `Order`:\n"
        "  • mode: `mode` should be 'fast' or 'exact'; got 1\n"
        "  • password: `password` should be a valid integer"
    )


def test_an_error_stays_readable_however_much_is_wrong() -> None:
    with pytest.raises(ValidationFailed) as failed:
        validated(Order, {"lines": [{}] * 500})
    assert len(failed.value.problems) == 500
    assert len(str(failed.value).splitlines()) == 22
    assert str(failed.value).endswith("and 480 more")


def test_an_error_can_be_copied_and_sent_to_another_process() -> None:
    error = ValidationFailed("Order", [Problem("is wrong", "mode")])
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (other.model, other.problems, str(other)) == ("Order", error.problems, str(error))


def test_a_mistake_deep_inside_is_told() -> None:
    deep: Any = "x"
    for _ in range(5000):
        deep = [deep]
    assert only({"mode": deep}).where == "mode"


def test_the_key_of_an_alias_is_what_is_told() -> None:
    class Renamed(MetadataModel):
        model_config = ConfigDict(populate_by_name=True)

        size: int = Field(0, alias="Size", description="How big.")

    (problem,) = validation_problems(Renamed, {"Size": "x"})
    assert (problem.where, problem.hint) == ("Size", "How big.")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["title", "price", "lines", "pin", 0, 1, None, "x y"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*Order.model_fields, "nonsense"]), JSON))
def test_whatever_is_given_is_the_model_or_has_problems_that_name_a_place(
    values: dict[str, Any],
) -> None:
    problems = validation_problems(Order, values)
    assert all(problem.message and problem.where for problem in problems)
    if problems:
        with pytest.raises(ValidationFailed):
            validated(Order, values)
    else:
        assert isinstance(validated(Order, values), Order)
