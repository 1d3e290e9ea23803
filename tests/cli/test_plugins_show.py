"""`dovetail plugins show`: one plugin, loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Command
    from tests.support.distributions import Distributions

RICH = '''
from enum import Enum
from typing import Literal
from pydantic import BaseModel, Field, SecretStr
from dovetail import ChatProvider, Duration, Middleware, Settings, StreamingChunk, hookimpl

class Inner(BaseModel):
    depth: int = 1

class RichSettings(Settings):
    address: str = Field(description="Where it is.")
    api_key: SecretStr = Field(default=SecretStr("s3cret-default"), description="Lets one in.")
    mode: Literal["fast", "slow"] = Field(default="fast", description="How it goes.")
    names: list[str] = Field(default=[], description="Who.")
    inner: Inner = Field(default=Inner(), description="More.")
    limit: int | None = Field(default=None, description="At most.")

class Rich(ChatProvider):
    """Has settings of all sorts.

    And more to say.
    """
    settings: RichSettings
    async def send_message_stream(self, request, context):
        yield StreamingChunk()

class Plain(Middleware):
    async def before_chat(self, call):
        return call

@hookimpl
def providers():
    return [Rich]
'''


def test_it_shows_components_and_what_can_be_set(
    dovetail: Command, installed: Distributions
) -> None:
    installed.add("rich", RICH)
    done = dovetail("plugins", "show", "rich")
    assert done.code == 0
    assert "provider for chat: rich:rich\n  Has settings of all sorts.\n" in done.out
    assert "  address  string, must be set\n      Where it is.\n" in done.out
    assert "  api_key  string, a secret, default ***\n" in done.out
    assert '  mode  "fast" or "slow", default "fast"\n' in done.out
    assert "  names  list of string, default []\n" in done.out
    assert "  inner  table, default a table\n" in done.out
    assert "  limit  integer, default none\n" in done.out
    assert "s3cret" not in done.out


def test_it_is_there_as_json(dovetail: Command, parrot: Distributions) -> None:
    told = dovetail("plugins", "show", "parrot", "--json").json
    assert told["state"] == "loaded"
    assert told["import_ms"] > 0
    assert told["enabled_by"] == ["dovetail.toml:4 [providers.parrot]"]
    (component,) = told["components"]
    assert component["does"] == ["chat"]
    assert [row["name"] for row in component["settings"]] == ["prefix", "pin"]
    assert [row["secret"] for row in component["settings"]] == [False, True]


def test_the_kernels_own_store_is_a_plugin_as_any_other(dovetail: Command) -> None:
    out = dovetail("plugins", "show", "in-memory").out
    assert "sessions: in-memory:in-memory" in out
    assert "max_sessions  integer, default 10000" in out


def test_a_plugin_that_cannot_be_imported_says_what_to_do(
    dovetail: Command, installed: Distributions
) -> None:
    installed.add("bad", "import nothing_of_this_name")
    done = dovetail("plugins", "show", "bad")
    assert done.code == 1
    assert "plugin `bad` (dovetail-bad 1.0) failed at import: ModuleNotFoundError" in done.out
    assert "`nothing_of_this_name` is missing: reinstall `dovetail-bad`" in done.out


def test_an_unknown_plugin_is_answered_with_the_nearest(
    dovetail: Command, parrot: Distributions
) -> None:
    done = dovetail("plugins", "show", "parot")
    assert (done.code, done.out) == (1, "")
    assert "no plugin `parot` is installed; did you mean `parrot`?" in done.err
