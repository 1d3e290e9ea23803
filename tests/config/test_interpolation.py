"""`${NAME}`, `${NAME:-default}` and `$$`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.config import read_config
from dovetail.config.interpolation import expand

if TYPE_CHECKING:
    from tests.config.conftest import Read

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
environments = st.dictionaries(names, st.text(max_size=10), max_size=5)
plain = st.text(st.characters(exclude_characters="$"), max_size=10)


@given(st.text(), environments)
def test_text_whose_dollars_are_doubled_comes_out_as_it_was(text: str, env: dict[str, str]) -> None:
    expansion = expand(text.replace("$", "$$"), env)
    assert expansion.text == text
    assert not expansion.refers


@given(plain, plain, names, st.text(min_size=1))
def test_a_reference_is_replaced_where_it_stands_and_its_value_is_not_looked_at_again(
    before: str, after: str, name: str, value: str
) -> None:
    expansion = expand(f"{before}${{{name}}}{after}", {name: value})
    assert expansion.text == before + value + after
    assert expansion.used == (value,)


@given(names, st.text(st.characters(exclude_characters="$}")), environments)
def test_a_default_serves_where_the_variable_is_unset_or_empty(
    name: str, default: str, env: dict[str, str]
) -> None:
    expansion = expand(f"${{{name}:-{default}}}", env)
    assert expansion.text == (env.get(name) or default)
    assert expansion.refers


@given(st.text(alphabet="$ {}:-AB_1"), environments)
def test_any_text_is_expanded_or_refused_but_never_breaks(text: str, env: dict[str, str]) -> None:
    expansion = expand(text, env)
    if not expansion.unset and not expansion.malformed:
        leftover = text.replace("$$", "")
        assert ("${" in leftover) == expansion.refers


def test_only_references_are_replaced_and_other_dollars_stay() -> None:
    assert expand("$5 $A $", {"A": "x"}).text == "$5 $A $"


def test_an_empty_variable_is_set() -> None:
    assert expand("<${A}>", {"A": ""}).text == "<>"


def test_a_dollar_in_a_default_may_be_doubled() -> None:
    assert expand("${A:-$$5}", {}).text == "$5"


def test_time_grows_with_the_length_only() -> None:
    started = time.perf_counter()
    for piece in ("${A:-", "${", "$$", "${A:-$$", "$"):
        expand(piece * 200_000, {})
    assert time.perf_counter() - started < 10


def test_files_flags_and_mappings_are_interpolated_in_lists_and_nested_tables(read: Read) -> None:
    text = '[chat]\nstop = ["${A}", ["x${A}"]]\n[providers.p.deep.deeper]\nurl = "u/${A}"\n'
    raw = read(text, {"A": "1"}, {"chat.model": "${A}/m"})
    assert raw.tables == {
        "chat": {"stop": ["1", ["x1"]], "model": "1/m"},
        "providers": {"p": {"deep": {"deeper": {"url": "u/1"}}}},
    }
    assert raw.interpolated["providers", "p", "deep", "deeper", "url"].written == "u/${A}"
    assert read_config({"chat": {"model": "${A}"}}, env={"A": "b"}).tables == {
        "chat": {"model": "b"}
    }


def test_every_unset_variable_is_a_problem_at_its_key(read: Read) -> None:
    text = (
        '[providers.a]\nkey = "${LM_KEY}"\n\n[[middleware]]\nuse = "x"\nlist = ["${ONE}${TWO}"]\n'
    )
    raw = read(text, {"LM_KEYS": "x"})
    assert [(problem.where, problem.message) for problem in raw.problems] == [
        ("dovetail.toml:2 [providers.a] key", "the environment variable LM_KEY is not set"),
        ("dovetail.toml:6 [[middleware]] #1 list[0]", "the environment variable ONE is not set"),
        ("dovetail.toml:6 [[middleware]] #1 list[0]", "the environment variable TWO is not set"),
    ]
    assert "did you mean `${LM_KEYS}`?" in raw.problems[0].hint
    assert "${ONE:-default}" in raw.problems[1].hint


@pytest.mark.parametrize(
    "written", ["${", "a ${} b", "${1A}", "${A", "${A-b}", "${A:b}", "${A B}", "${A:-${B}}"]
)
def test_a_reference_that_is_none_is_a_problem(read: Read, written: str) -> None:
    raw = read(f'[chat]\nmodel = "{written}"\n', {"A": "1", "B": "2"})
    (problem,) = raw.problems
    assert problem.where == "dovetail.toml:2 [chat] model"
    assert "begins no reference" in problem.message
    assert raw.tables == {"chat": {"model": written}}


def test_a_reference_in_a_value_that_a_higher_layer_replaces_does_not_matter(read: Read) -> None:
    raw = read('[chat]\nmodel = "${UNSET}"\n', flags={"chat.model": "a/b"})
    assert raw.problems == ()


def test_what_came_through_references_is_secret(read: Read) -> None:
    raw = read('[chat]\na = "x-${A}"\nb = "${B:-seen}"\nc = "plain"\n', {"A": "hidden"})
    assert raw.secrets() == {"x-hidden", "hidden", "seen"}
    assert "hidden" not in repr(raw.interpolated)
