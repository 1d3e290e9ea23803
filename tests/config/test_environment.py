"""`DOVETAIL__TABLE__KEY`."""

from __future__ import annotations

import pytest

from dovetail.config import read_config

TABLES = {
    "chat": {"model": "a/b", "stop": ["x"]},
    "providers": {"LM-Studio": {"base_url": "u"}},
    "middleware": [{"use": "resilience"}],
}


def test_a_name_matches_whatever_its_case_and_dashes() -> None:
    raw = read_config(TABLES, env={"DOVETAIL__PROVIDERS__LM_STUDIO__BASE_URL": "v"})
    assert raw.value(("providers", "LM-Studio", "base_url")) == "v"
    place = "environment variable DOVETAIL__PROVIDERS__LM_STUDIO__BASE_URL"
    assert raw.where(("providers", "LM-Studio", "base_url")) == place


def test_a_name_that_matches_nothing_is_taken_in_lower_case() -> None:
    raw = read_config(TABLES, env={"DOVETAIL__PROVIDERS__New__Base_URL": "v"})
    assert raw.value(("providers", "new", "base_url")) == "v"


def test_an_exact_name_goes_before_one_that_differs_in_dashes() -> None:
    tables: dict[str, object] = {"providers": {"a-b": {}, "a_b": {}}}
    raw = read_config(tables, env={"DOVETAIL__PROVIDERS__A_B__X": "1"})
    assert raw.tables == {"providers": {"a-b": {}, "a_b": {"x": "1"}}}


def test_other_variables_mean_nothing() -> None:
    raw = read_config({}, env={"DOVETAIL_CONFIG_HOME": "/x", "CHAT__MODEL": "y", "DOVETAIL": "z"})
    assert raw.tables == {}
    assert raw.problems == ()


@pytest.mark.parametrize("text", ["3", "true", "", " [x]", "1979-05-27", '"quoted"', "${HOME}"])
def test_a_value_stays_the_text_it_is(text: str) -> None:
    raw = read_config({}, env={"DOVETAIL__CHAT__X": text, "HOME": "/h"})
    assert raw.tables == {"chat": {"x": text}}


def test_a_value_that_begins_like_a_list_or_table_is_one() -> None:
    env = {"DOVETAIL__CHAT__STOP": '["${A}", 2]', "DOVETAIL__KERNEL": "{ max_turns = 3 }"}
    raw = read_config(TABLES, env=env)
    assert raw.value(("chat", "stop")) == ["${A}", 2]
    assert raw.value(("kernel", "max_turns")) == 3


@pytest.mark.parametrize("text", ["[1, hunter2", "{hunter2}", "[1]\nhunter2 = 1", "[" * 5000])
def test_a_broken_list_or_table_is_a_problem_that_does_not_show_it(text: str) -> None:
    raw = read_config({}, env={"DOVETAIL__CHAT__X": text})
    (problem,) = raw.problems
    assert problem.where == "environment variable DOVETAIL__CHAT__X"
    assert "TOML" in problem.message
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("DOVETAIL__MIDDLEWARE__0__USE", "tables only"),
        ("DOVETAIL__MIDDLEWARE", "tables only"),
        ("DOVETAIL__CHAT__STOP__0", "chat.stop is a list"),
        ("DOVETAIL__CHAT__MODEL__NAME", "chat.model is a single value"),
        ("DOVETAIL__", "names no key"),
        ("DOVETAIL__CHAT____X", "names no key"),
    ],
)
def test_a_variable_that_cannot_be_laid_on_is_a_problem(name: str, says: str) -> None:
    raw = read_config(TABLES, env={name: "1"})
    (problem,) = raw.problems
    assert problem.where == f"environment variable {name}"
    assert says in problem.message
    assert raw.tables == TABLES


def test_two_variables_for_one_key_are_a_problem() -> None:
    raw = read_config(TABLES, env={"DOVETAIL__CHAT__MODEL": "1", "DOVETAIL__chat__model": "2"})
    (problem,) = raw.problems
    assert problem.where == "environment variable DOVETAIL__chat__model"
    assert "DOVETAIL__CHAT__MODEL" in problem.message


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("DOVETAIL_CHAT__MODEL", "DOVETAIL__CHAT__MODEL"),
        ("DOVETAIL_providers__x__base_url", "DOVETAIL__providers__x__base_url"),
    ],
)
def test_a_name_with_one_underscore_too_few_is_a_problem(name: str, right: str) -> None:
    raw = read_config(TABLES, env={name: "hunter2"})
    (problem,) = raw.problems
    assert problem.where == f"environment variable {name}"
    assert problem.hint == f"did you mean {right}?"
    assert raw.tables == TABLES


@pytest.mark.parametrize("name", ["DOVETAIL_CONFIG_HOME", "DOVETAIL_DATA__DIR", "DOVETAIL_CHAT"])
def test_a_name_that_means_no_table_is_none_of_ours(name: str) -> None:
    assert read_config(TABLES, env={name: "x"}).problems == ()
