"""Settings errors that an operator can act on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from dovetail.config import RawConfig, read_config
from dovetail.config.durations import Duration
from dovetail.config.shape import secret_paths
from dovetail.config.validate import validate

if TYPE_CHECKING:
    from dovetail.errors import Problem
    from tests.config.conftest import Read


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Peer(Closed):
    host: str
    weight: int = 1
    token: SecretStr | None = None
    peers: list[Peer] = []


def even(value: int) -> int:
    if value % 2:
        message = f"{value} is odd"
        raise ValueError(message)
    return value


class Remote(Closed):
    base_url: str = Field(description="Where the server\nlistens.")
    attempts: int = Field(3, ge=1, description="How often to try.")
    timeout: Duration = 30.0
    mode: Literal["fast", "exact"] = "fast"
    size: int | Literal["small", "large"] = "small"
    pair: Annotated[int, AfterValidator(even)] = 2
    peers: list[Peer] = []
    named: dict[str, Peer] = {}
    pass_phrase: SecretStr = SecretStr("")
    pin: SecretStr = SecretStr("")
    note: str = ""

    @field_validator("note")
    @classmethod
    def _indiscreet(cls, value: str) -> str:
        if value.startswith("!"):
            message = f"I do not like {value}"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _tells_everything(self) -> Remote:
        if self.note == "tell":
            message = f"it was {self.pin.get_secret_value()} at {self.base_url}"
            raise ValueError(message)
        return self


PATH = ("providers", "a")
OK = 'base_url = "u"\n'


EVERY_MISTAKE = """\
dovetail.toml:1 [providers.a] base_url: `base_url` is missing
    → add it: Where the server listens.
dovetail.toml:2 [providers.a] base_ulr: there is no key `base_ulr` here
    → did you mean `base_url`?
dovetail.toml:3 [providers.a] attempts: `attempts` should be a valid integer; got "three"
    → How often to try.
dovetail.toml:5 [providers.a] timeout: `timeout` should be a duration: a number of seconds, or \
text such as "500ms", "90s", "5m", "1h30m" or "2d"; got "soon"
dovetail.toml:6 [providers.a] mode: `mode` should be 'fast' or 'exact'; got "fats"
    → did you mean "fast"?"""


def check(raw: RawConfig, path: tuple[str | int, ...] = PATH) -> list[Problem]:
    values = raw.value(path)
    assert isinstance(values, dict)
    model, problems = validate(Remote, values, config=raw, path=path)
    assert model is None
    return problems


def only(raw: RawConfig, path: tuple[str | int, ...] = PATH) -> Problem:
    (problem,) = check(raw, path)
    return problem


def test_right_values_give_the_model(read: Read) -> None:
    raw = read('[providers.a]\nbase_url = "u"\nattempts = "5"\ntimeout = "1m"\n')
    values: Any = raw.value(PATH)
    model, problems = validate(Remote, values, config=raw, path=PATH)
    assert problems == []
    assert model == Remote(base_url="u", attempts=5, timeout=60)


def test_every_mistake_is_told_with_its_line_and_a_way_out(read: Read) -> None:
    problems = check(
        read(
            '[providers.a]\nbase_ulr = "x"\nattempts = "three"\n\ntimeout = "soon"\nmode = "fats"\n'
        )
    )
    assert "\n".join(sorted(map(str, problems))) == EVERY_MISTAKE


def test_nested_keys_and_list_items_are_named(read: Read) -> None:
    text = (
        f"[providers.a]\n{OK}[[providers.a.peers]]\nhost = 'h'\nweigth = 2\n"
        "[[providers.a.peers]]\nhost = 3\n[providers.a.named.one]\n"
    )
    assert [(problem.where, problem.message) for problem in check(read(text))] == [
        (
            "dovetail.toml:5 [providers.a] peers[0].weigth",
            "there is no key `peers[0].weigth` here",
        ),
        (
            "dovetail.toml:7 [providers.a] peers[1].host",
            "`peers[1].host` should be a valid string; got 3",
        ),
        ("dovetail.toml:8 [providers.a] named.one.host", "`named.one.host` is missing"),
    ]


def test_the_nearest_key_is_looked_for_where_the_wrong_one_stands(read: Read) -> None:
    text = f"[providers.a]\n{OK}[providers.a.named.x]\nhost = 'h'\nbase_ulr = 1\nwieght = 2\n"
    hints = [problem.hint for problem in check(read(text))]
    assert hints == ["the keys are: host, weight, token, peers", "did you mean `weight`?"]


@pytest.mark.parametrize(
    ("table", "path", "key", "meant"),
    [
        ("[providers.a]", ("providers", "a"), "optionl", "optional"),
        ("[[middleware]]", ("middleware", 0), "us", "use"),
        ("[sessions]", ("sessions",), "lifetme", "lifetime"),
        ("[plugins.a]", ("plugins", "a"), "optinal", "optional"),
    ],
)
def test_the_kernels_own_keys_may_be_what_was_meant(
    read: Read, table: str, path: tuple[str | int, ...], key: str, meant: str
) -> None:
    problem = only(read(f"{table}\n{OK}{key} = 1\n"), path)
    assert problem.hint == f"did you mean `{meant}`?"


def test_a_model_without_fields_takes_no_settings(read: Read) -> None:
    raw = read("[providers.a]\ncolour = 1\n")
    _, problems = validate(Closed, {"colour": 1}, config=raw, path=PATH)
    assert [problem.hint for problem in problems] == ["it takes no settings"]


def test_the_alternatives_of_a_union_are_one_problem(read: Read) -> None:
    problem = only(read(f"[providers.a]\n{OK}size = 'smal'\n"))
    assert problem.message == (
        "`size` should be a valid integer or 'small' or 'large'; got \"smal\""
    )
    assert problem.hint == 'did you mean "small"?'


def test_tables_and_lists_are_called_so(read: Read) -> None:
    problems = check(read(f"[providers.a]\n{OK}peers = {{ a = 1 }}\nnamed = {{ x = [1] }}\n"))
    assert [problem.message for problem in problems] == [
        "`peers` should be a valid list; got a table",
        "`named.x` should be a table; got a list",
    ]


def test_a_plugins_own_words_are_passed_on(read: Read) -> None:
    problem = only(read(f"[providers.a]\n{OK}pair = 3\n"))
    assert problem.message == "`pair`: 3 is odd; got 3"


def test_a_value_of_the_environment_is_named_by_its_variable(read: Read) -> None:
    raw = read(f"[providers.a]\n{OK}", {"DOVETAIL__PROVIDERS__A__ATTEMPTS": "many"})
    problem = only(raw)
    assert problem.where == "environment variable DOVETAIL__PROVIDERS__A__ATTEMPTS"
    assert problem.message.endswith('got "many"')


def test_an_unset_variable_is_not_told_a_second_time(read: Read) -> None:
    raw = read(f'[providers.a]\n{OK}attempts = "${{UNSET}}"\n')
    assert check(raw) == []
    assert len(raw.problems) == 1


@pytest.mark.parametrize(
    "settings",
    [
        'attempts = "${SECRET}"',
        'attempts = "x${SECRET}"',
        'api_key = "hunter2-hunter2"',
        "pass_phrase = ['hunter2-hunter2']",
        "pass_phrase = { x = 'hunter2-hunter2' }",
        "[[providers.a.peers]]\nhost = 1\ntoken = ['hunter2-hunter2']",
        'note = "!${SECRET}"',
        'note = "tell"\npin = "hunter2-hunter2"',
        'note = "tell"\npin = "${SECRET}"',
        'note = "!x hunter2-hunter2"\npin = "hunter2-hunter2"',
        'note = "! Bearer hunter2-hunter2"',
        'note = "!http://me:hunter2-hunter2@host"',
        'mode = "sk-hunter2-hunter2"',
    ],
)
def test_no_secret_is_in_any_problem(read: Read, settings: str) -> None:
    raw = read(f"[providers.a]\n{OK}{settings}\n", {"SECRET": "hunter2-hunter2"})
    problems = check(raw)
    assert problems
    assert "hunter2" not in str(problems)


def test_what_stands_for_a_value_is_shown_as_it_is_written(read: Read) -> None:
    raw = read(f'[providers.a]\n{OK}attempts = "${{MANY}}"\n', {"MANY": "lots"})
    assert only(raw).message == (
        '`attempts` should be a valid integer; got what "${MANY}" stands for'
    )


def test_a_long_or_foreign_value_is_shown_briefly() -> None:
    tables = {"providers": {"a": {"base_url": Path, "mode": "m" * 1000, "attempts": 1 << 9000}}}
    messages = [problem.message for problem in check(read_config(tables, env={}))]
    assert messages[0].endswith("got <type>")
    assert all(len(message) < 200 for message in messages)


def test_the_secret_values_of_a_table_are_found_however_deep() -> None:
    values = {
        "pin": "1",
        "note": "n",
        "named": {"x": {"host": "h", "token": "2", "peers": [{"host": "h", "token": "3"}]}},
    }
    assert secret_paths(Remote, values, ("providers", "a")) == {
        ("providers", "a", "pin"),
        ("providers", "a", "named", "x", "token"),
        ("providers", "a", "named", "x", "peers", 0, "token"),
    }


def test_a_duration_in_words_is_met_with_its_right_form(read: Read) -> None:
    problem = only(read(f'[providers.a]\n{OK}timeout = "1 hour"\n'))
    assert problem.hint == 'did you mean "1h"?'
