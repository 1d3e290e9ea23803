"""`dovetail config`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dovetail.host.options import ChatOptions, KernelOptions
from dovetail.sessions.manager import SessionOptions

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from pydantic import BaseModel

    from tests.cli.conftest import Command
    from tests.support.distributions import Distributions

THREE_MISTAKES = """\
[chat]
model = "parrot"
answer_tokens = "many"

[providers.parrot]
prefx = ""

[providers.owl]
"""


def test_check_finds_nothing_wrong(dovetail: Command, parrot: Distributions) -> None:
    done = dovetail("config", "check")
    assert (done.code, done.out) == (0, "nothing is wrong with the config\n")
    assert dovetail("config", "check", "--json").json == {"valid": True}


def test_check_tells_all_mistakes_at_once(
    dovetail: Command, parrot: Distributions, folder: Path
) -> None:
    (folder / "dovetail.toml").write_text(THREE_MISTAKES)
    done = dovetail("config", "check")
    assert done.code == 1
    assert "3 things are wrong" in done.err
    assert "dovetail.toml:3 [chat] answer_tokens" in done.err
    assert "dovetail.toml:6 [providers.parrot] prefx" in done.err
    assert "no plugin `owl` is installed" in done.err
    error = json.loads(dovetail("config", "check", "--json").err)["error"]
    assert [p["where"] for p in error["problems"]] == [
        "dovetail.toml:3 [chat] answer_tokens",
        "dovetail.toml:6 [providers.parrot] prefx",
    ]
    assert [failure["plugin"] for failure in error["failures"]] == ["owl"]


def test_check_starts_nothing(dovetail: Command, parrot: Distributions, folder: Path) -> None:
    parrot.add("eager", EAGER)
    (folder / "dovetail.toml").write_text("[providers.eager]\n")
    assert dovetail("config", "check").code == 0
    assert dovetail("chat", "hi").code == 1


EAGER = """\
from dovetail import ChatProvider, StreamingChunk, hookimpl

class Eager(ChatProvider):
    async def start(self):
        raise RuntimeError("started")
    async def send_message_stream(self, request, context):
        yield StreamingChunk()

@hookimpl
def providers():
    return [Eager]
"""


def test_explain_shows_where_each_value_is_from(
    dovetail: Command, parrot: Distributions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOVETAIL__CHAT__ANSWER_TOKENS", "64")
    out = dovetail("config", "explain", "--set", "providers.parrot.prefix=x").out
    lines = [line.split() for line in out.splitlines()]
    assert ["chat.model", "=", '"parrot/grey"', "dovetail.toml:2"] in lines
    assert "environment variable DOVETAIL__CHAT__ANSWER_TOKENS" in out
    assert ["providers.parrot.prefix", "=", '"x"', "flag", "providers.parrot.prefix"] in lines
    assert ["sessions.max_sessions", "=", "10000", "default"] in lines


def test_explain_shows_every_key_with_its_default_as_it_is_documented(
    dovetail: Command, parrot: Distributions
) -> None:
    lines = [" ".join(line.split()) for line in dovetail("config", "explain").out.splitlines()]
    assert "kernel.start_timeout = 60 default" in lines
    assert "chat.context_window = none default" in lines
    assert "providers.parrot.prefix = none default" in lines
    tables: dict[str, type[BaseModel]] = {
        "chat": ChatOptions,
        "kernel": KernelOptions,
        "sessions": SessionOptions,
    }
    every = {f"{table}.{key}" for table, model in tables.items() for key in model.model_fields}
    assert every <= {line.partition(" ")[0] for line in lines}


def test_explain_masks_what_a_plugin_declares_as_secret(
    dovetail: Command, parrot: Distributions, folder: Path
) -> None:
    with (folder / "dovetail.toml").open("a") as config:
        config.write('pin = "4711"\n')
    rows = dovetail("config", "explain", "--json").json
    (row,) = (row for row in rows if row["key"] == "providers.parrot.pin")
    assert row == {
        "key": "providers.parrot.pin",
        "value": "***",
        "layer": "project",
        "source": "dovetail.toml:5",
    }


def test_explain_masks_all_values_of_a_plugin_that_cannot_be_asked(
    dovetail: Command, parrot: Distributions, folder: Path
) -> None:
    parrot.add("bad", "1 / 0")
    (folder / "dovetail.toml").write_text('[providers.x]\nuse = "bad"\npin = "4711"\n')
    done = dovetail("config", "explain")
    assert 'providers.x.use = "bad"' in done.out
    assert "providers.x.pin = ***" in done.out
    assert "ZeroDivisionError" in done.err


def test_schema_is_of_exactly_what_is_installed(
    dovetail: Command, parrot: Distributions, folder: Path
) -> None:
    parrot.add("bad", "1 / 0")
    parrot.add("loud", "import os; print('noise'); os.write(1, b'noise'); " + EMPTY)
    done = dovetail("config", "schema")
    assert done.code == 0
    providers = done.json["properties"]["providers"]["properties"]
    assert providers.keys() == {"parrot"}
    assert providers["parrot"]["properties"]["prefix"] == {"description": "Put before each answer."}
    assert "left out: plugin `bad` (dovetail-bad 1.0) failed at import" in done.err
    assert dovetail("config", "schema", "-o", "schema.json").out == ""
    assert json.loads((folder / "schema.json").read_text()) == done.json


EMPTY = "from dovetail import hookimpl\n@hookimpl\ndef providers():\n    return []\n"


def test_a_schema_that_cannot_be_written_is_one_line(dovetail: Command, folder: Path) -> None:
    done = dovetail("config", "schema", "-o", "no/such/folder.json")
    assert (done.code, done.err) == (
        1,
        "dovetail: no/such/folder.json cannot be written: No such file or directory\n",
    )
