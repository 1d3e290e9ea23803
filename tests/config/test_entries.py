"""What the tables name, and what is wrong with how they name it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dovetail.config import Entry, parse_config, read_config, read_entries
from dovetail.config.nearest import nearest
from dovetail.errors import ConfigError

if TYPE_CHECKING:
    from tests.config.conftest import Read

EXAMPLE = """\
[chat]
model = "ollama/llama3.2"

[kernel]
max_turns = 3

[providers.ollama]
base_url = "http://127.0.0.1:11434"

[providers.lmstudio]
use = "openai:chat"
base_url = "http://127.0.0.1:1234/v1"

[providers.metrics]
optional = true

[[middleware]]
use = "resilience"
attempts = 3

[[middleware]]
use = "logging"

[[middleware]]
use = "resilience"

[sessions]
use = "sqlite"
path = "dovetail.db"
lifetime = "1h"

[plugins.postgres]
dsn = "x"
"""


def test_the_example_is_read_as_it_is_meant(read: Read) -> None:
    config = parse_config(read(EXAMPLE))
    assert config.providers == (
        Entry(
            kind="provider",
            name="ollama",
            plugin="ollama",
            component=None,
            optional=False,
            values={"base_url": "http://127.0.0.1:11434"},
            path=("providers", "ollama"),
        ),
        Entry(
            kind="provider",
            name="lmstudio",
            plugin="openai",
            component="chat",
            optional=False,
            values={"base_url": "http://127.0.0.1:1234/v1"},
            path=("providers", "lmstudio"),
        ),
        Entry(
            kind="provider",
            name="metrics",
            plugin="metrics",
            component=None,
            optional=True,
            values={},
            path=("providers", "metrics"),
        ),
    )
    assert [entry.name for entry in config.middleware] == [
        "resilience",
        "logging",
        "resilience#2",
    ]
    assert [entry.path for entry in config.middleware] == [("middleware", n) for n in range(3)]
    assert config.sessions.plugin == "sqlite"
    assert config.sessions.values == {"path": "dovetail.db"}
    assert config.session_options == {"lifetime": "1h"}
    assert config.chat == {"model": "ollama/llama3.2"}
    assert config.kernel == {"max_turns": 3}
    assert [entry.plugin for entry in config.plugins] == ["postgres"]
    assert len(config.entries) == 8
    assert [file.layer for file in config.files] == ["project"]
    assert config.origin(("chat", "model")).layer == "project"


def test_an_empty_config_keeps_sessions_in_memory() -> None:
    config = parse_config(read_config({}, env={}))
    assert config.sessions.plugin == "in-memory"
    assert config.entries == (config.sessions,)


def test_an_entry_says_which_line_enables_it(read: Read) -> None:
    config = parse_config(read(EXAMPLE))
    assert [config.where(entry.path) for entry in config.entries] == [
        "dovetail.toml:7 [providers.ollama]",
        "dovetail.toml:10 [providers.lmstudio]",
        "dovetail.toml:14 [providers.metrics]",
        "dovetail.toml:17 [[middleware]] #1",
        "dovetail.toml:21 [[middleware]] #2",
        "dovetail.toml:24 [[middleware]] #3",
        "dovetail.toml:27 [sessions]",
        "dovetail.toml:32 [plugins.postgres]",
    ]


def test_three_mistakes_are_told_at_once_in_one_error(read: Read) -> None:
    raw = read('[chatt]\n\n[providers.a]\nuse = 3\nkey = "${NOT_SET}"\n')
    with pytest.raises(ConfigError) as caught:
        parse_config(raw)
    text = str(caught.value)
    assert "3 things are wrong" in text
    assert "dovetail.toml:1 [chatt]: there is no table `chatt`" in text
    assert "did you mean `chat`?" in text
    assert "dovetail.toml:4 [providers.a] use:" in text
    assert "dovetail.toml:5 [providers.a] key: the environment variable NOT_SET" in text


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("[sesions]", "dovetail.toml:1 [sesions]", "did you mean `sessions`?"),
        ("[[wholly-else]]", "dovetail.toml:1 [wholly-else]", "the tables are: chat, kernel"),
        ("colour = 3", "dovetail.toml:1 colour", "below the [table] it belongs to"),
        ("chat = 3", "dovetail.toml:1 chat", "`chat` should be a table"),
        ("[[chat]]", "dovetail.toml:1 [chat]", "write [chat]"),
        ("[[providers]]", "dovetail.toml:1 [providers]", "write [providers.NAME]"),
        ("[[plugins]]", "dovetail.toml:1 [plugins]", "write [plugins.NAME]"),
        ("[providers]\nx = 1", "dovetail.toml:2 providers.x", "a table [providers.x]"),
        ("[plugins]\nx = 1", "dovetail.toml:2 plugins.x", "a table [plugins.x]"),
        ("[middleware]\nuse = 'x'", "dovetail.toml:1 [middleware]", "write [[middleware]]"),
        ("middleware = ['x']", "dovetail.toml:1 middleware[0]", "a table [[middleware]]"),
        ("[[middleware]]", "dovetail.toml:1 [[middleware]] #1", "`use` is missing"),
        ("[[middleware]]\nuze='x'", "dovetail.toml:1 [[middleware]] #1", "by `uze`?"),
        ("[providers.x]\nuse = 3", "dovetail.toml:2 [providers.x] use", "plugin:component"),
        ("[providers.x]\nuse = ''", "dovetail.toml:2 [providers.x] use", "plugin:component"),
        ("[providers.x]\nuse = 'a:'", "dovetail.toml:2 [providers.x] use", "plugin:component"),
        ("[providers.x]\nuse = ':a'", "dovetail.toml:2 [providers.x] use", "plugin:component"),
        ("[providers.x]\nuse = 'a b'", "dovetail.toml:2 [providers.x] use", "plugin:component"),
        ("[[middleware]]\nuse = []", "dovetail.toml:2 [[middleware]] #1 use", "should be"),
        ("[sessions]\nuse = 1", "dovetail.toml:2 [sessions] use", "plugin:component"),
        ("[plugins.a]\nuse = 'b'", "dovetail.toml:2 [plugins.a] use", "the ID says it"),
        ("[plugins.'a:b']", 'dovetail.toml:1 [plugins."a:b"]', "cannot be a plugin's id"),
        ("[providers.'a b']", 'dovetail.toml:1 [providers."a b"]', "so `use` must say"),
        ("[providers.'a/b']", 'dovetail.toml:1 [providers."a/b"]', "no slash"),
        ("[providers.'']", 'dovetail.toml:1 [providers.""]', "cannot be an instance's name"),
        ("[providers.' a']", 'dovetail.toml:1 [providers." a"]', "cannot be an instance's name"),
        (
            '[providers."a\\u0007"]',
            "dovetail.toml:1 [providers.'a\\x07']",
            "cannot be an instance's name",
        ),
        (
            "[providers.x]\noptional = 'yes'",
            "dovetail.toml:2 [providers.x] optional",
            "true or false, without quotes",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_way_out(
    read: Read, text: str, where: str, says: str
) -> None:
    _, problems = read_entries(read(f"{text}\n"))
    (problem,) = problems
    assert problem.where == where
    assert says in f"{problem.message} {problem.hint}"


def test_with_its_mistakes_the_rest_of_the_config_can_still_be_had(read: Read) -> None:
    config, problems = read_entries(read("[providers.a]\nuse = 3\n[providers.b]\noptional = 1\n"))
    assert [entry.name for entry in config.providers] == ["b"]
    assert len(problems) == 2


@pytest.mark.parametrize(("text", "optional"), [("true", True), ("False", False)])
def test_optional_may_be_text_where_there_is_only_text(
    read: Read, text: str, optional: bool
) -> None:
    config = parse_config(read("[providers.a]\n", {"DOVETAIL__PROVIDERS__A__OPTIONAL": text}))
    assert config.providers[0].optional is optional
    config = parse_config(read('[providers.a]\noptional = "${X}"\n', {"X": text}))
    assert config.providers[0].optional is optional


def test_an_unset_variable_in_use_or_optional_is_told_once(read: Read) -> None:
    text = '[providers.a]\nuse = "${X}"\n[providers.b]\noptional = "${X}"\n'
    _, problems = read_entries(read(text))
    assert [problem.message for problem in problems] == [
        "the environment variable X is not set"
    ] * 2


def test_what_is_printed_of_an_entry_holds_no_value(read: Read) -> None:
    config = parse_config(read('[providers.a]\napi_key = "hunter2"\n[chat]\nx = "hunter2"\n'))
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("base_ulr", "base_url"),
        ("BASE-URL", "base_url"),
        ("url", "base_url"),
        ("colour", None),
        ("base_url" * 100_000, None),
    ],
    ids=["swapped", "case", "part", "nothing", "endless"],
)
def test_the_nearest_word_is_found(word: str, found: str | None) -> None:
    assert nearest(word, ["base_url", "timeout"]) == found
