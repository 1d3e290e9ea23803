"""`dovetail config explain`: each value, where it came from, and no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field, SecretStr

from dovetail.config import read_config
from dovetail.config.explain import Row, default_values, explain
from dovetail.config.shape import secret_paths

if TYPE_CHECKING:
    from tests.config.conftest import Read


class Remote(BaseModel):
    base_url: str = "http://127.0.0.1"
    pin: SecretStr = SecretStr("")
    tags: list[str] = Field(default_factory=list)
    limit: int | None = None
    kept: str = Field("x", alias="kept-as")
    needed: int


def test_each_value_is_shown_with_its_origin(read: Read) -> None:
    raw = read(
        '[chat]\nmodel = "a/b"\nwindow = 3\n[providers.a]\nstop = ["x", true]\nempty = []\n',
        {"DOVETAIL__CHAT__SEED": "7"},
        {"chat.model": "c/d"},
    )
    assert explain(raw) == [
        Row(("chat", "model"), "chat.model", '"c/d"', "flag", "flag chat.model", False),
        Row(("chat", "window"), "chat.window", "3", "project", "dovetail.toml:3", False),
        Row(
            ("chat", "seed"),
            "chat.seed",
            '"7"',
            "environment",
            "environment variable DOVETAIL__CHAT__SEED",
            False,
        ),
        Row(
            ("providers", "a", "stop", 0),
            "providers.a.stop[0]",
            '"x"',
            "project",
            "dovetail.toml:5",
            False,
        ),
        Row(
            ("providers", "a", "stop", 1),
            "providers.a.stop[1]",
            "true",
            "project",
            "dovetail.toml:5",
            False,
        ),
        Row(
            ("providers", "a", "empty"),
            "providers.a.empty",
            "[]",
            "project",
            "dovetail.toml:6",
            False,
        ),
    ]


def test_an_empty_config_has_no_rows() -> None:
    assert explain(read_config({}, env={})) == []


def test_secrets_are_masked_and_references_shown_as_written(read: Read) -> None:
    text = """
[providers.a]
api_key = "hunter2-a"
pin = "hunter2-b"
key = "${SECRET}"
other_key = { token = "${UNSET}" }
token = "${SECRET:-hunter2-c}"
url = "http://me:hunter2-d@host/${SECRET}"
dsn = "http://me:hunter2-e@host/"
text = "x ${SECRET}"
"""
    raw = read(text, {"SECRET": "hunter2-f", "DOVETAIL__PROVIDERS__A__PASSWORD": "hunter2-g"})
    secrets = secret_paths(Remote, {"pin": "hunter2-b"}, ("providers", "a"))
    rows = {row.path[2:]: (row.shown, row.masked) for row in explain(raw, secret_paths=secrets)}
    assert rows == {
        ("api_key",): ("***", True),
        ("pin",): ("***", True),
        ("key",): ('"${SECRET}"', False),
        ("other_key", "token"): ('"${UNSET}"', False),
        ("token",): ("***", True),
        ("url",): ('"http://me:***@host/${SECRET}"', True),
        ("dsn",): ('"http://me:***@host/"', True),
        ("text",): ('"x ${SECRET}"', False),
        ("password",): ("***", True),
    }


def test_defaults_are_shown_where_the_config_says_nothing(read: Read) -> None:
    raw = read('[providers.a]\nbase_url = "u"\n')
    path = ("providers", "a")
    rows = explain(raw, defaults=default_values(Remote, path))
    assert [(row.key, row.shown, row.layer, row.source) for row in rows] == [
        ("providers.a.base_url", '"u"', "project", "dovetail.toml:2"),
        ("providers.a.pin", "<SecretStr>", "default", ""),
        ("providers.a.tags", "[]", "default", ""),
        ("providers.a.kept-as", '"x"', "default", ""),
    ]


def test_text_that_could_play_tricks_on_a_terminal_is_escaped(read: Read) -> None:
    raw = read('[chat]\nmodel = "a\\u001b[31m\\n\\"\\\\"\n')
    assert explain(raw)[0].shown == r'"a\x1b[31m\n\"\\"'


def test_dates_numbers_and_truth_are_shown_as_in_the_file(read: Read) -> None:
    raw = read("[chat]\na = 2026-01-02\nb = 07:30:00\nc = -1.5\nd = false\ne = {}\n")
    assert [row.shown for row in explain(raw)] == ["2026-01-02", "07:30:00", "-1.5", "false", "{}"]
