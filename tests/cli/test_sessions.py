"""`dovetail sessions`, on a store that outlasts the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command
    from tests.support.distributions import Distributions

SHELF = '''
import pickle
from pathlib import Path
from pydantic import Field, SecretStr
from dovetail import MemorySessionStore, NotReady, SessionCorrupt, Settings, hookimpl

class ShelfSettings(Settings):
    """Where it is."""
    path: Path = Field(default=Path("shelf"), description="The file.")
    pin: SecretStr = Field(default=SecretStr(""), description="What nobody shall see.")
    max_sessions: int = 1000
    max_messages: int = 1000

class Shelf(MemorySessionStore):
    """Keeps sessions in a file."""
    name = "shelf"
    settings: ShelfSettings

    async def start(self):
        if self.settings.path.name == "away":
            raise NotReady(f"no shelf, pin {self.settings.pin.get_secret_value()}")
        if self.settings.path.exists():
            self.sessions.update(pickle.loads(self.settings.path.read_bytes()))

    async def stop(self):
        self.settings.path.write_bytes(pickle.dumps(dict(self.sessions)))

    async def load(self, session_id, last=None):
        found = await super().load(session_id, last)
        if found is not None and session_id == "torn":
            raise SessionCorrupt("the page is torn", user_id=found.user_id)
        return found

@hookimpl
def session_stores():
    return [Shelf]
'''

CONFIG = """
[chat]
model = "parrot/grey"

[providers.parrot]

[sessions]
use = "shelf"
lifetime = "2h"
"""

pytestmark = pytest.mark.usefixtures("shelf")


@pytest.fixture
def shelf(parrot: Distributions, folder: Path, dovetail: Command) -> None:
    """Two conversations are kept."""
    parrot.add("shelf", SHELF)
    (folder / "dovetail.toml").write_text(CONFIG)
    for name, text in (("work", "Good morning"), ("work", "And good night"), ("play", "Hello")):
        assert dovetail("chat", "-s", name, text).code == 0


def test_sessions_are_listed_by_name(dovetail: Command) -> None:
    done = dovetail("sessions", "list")
    header, *rows = done.out.splitlines()
    assert header.split()[:3] == ["SESSION", "USER", "MESSAGES"]
    assert [row.split()[:3] for row in rows] == [["play", "-", "2"], ["work", "-", "4"]]
    assert (done.code, done.err) == (0, "")


def test_a_list_may_be_cut_by_user_by_end_and_by_length(dovetail: Command) -> None:
    def names(*options: str) -> list[str]:
        return [s["session_id"] for s in dovetail("sessions", "list", "--json", *options).json]

    assert names() == ["play", "work"]
    assert names("--nobody") == ["play", "work"]
    assert names("--user", "ann") == []
    assert names("--ends-within", "3h") == ["play", "work"]
    assert names("--ends-within", "1h") == []
    assert names("--limit", "1") == ["play"]
    assert names("--after", "play") == ["work"]


def test_a_page_that_is_full_says_how_to_go_on(dovetail: Command) -> None:
    assert "--after 'play' goes on from here" in dovetail("sessions", "list", "-n", "1").err


def test_what_is_no_length_of_time_is_refused(dovetail: Command) -> None:
    done = dovetail("sessions", "list", "--ends-within", "soon")
    assert done.code == 2
    assert "it should be a duration" in done.err


def test_a_session_is_shown_with_what_was_said(dovetail: Command) -> None:
    done = dovetail("sessions", "show", "work")
    assert "session_id: work" in done.out
    assert "messages: 4" in done.out
    assert "user: Good morning\n\nassistant: Good morning\n" in done.out
    told = dovetail("sessions", "show", "work", "--last", "1", "--json").json
    assert [message["content"] for message in told["history"]] == ["And good night"]
    assert told["message_count"] == 4


def test_a_session_that_is_not_there_is_told_so(dovetail: Command) -> None:
    done = dovetail("sessions", "show", "wrok")
    assert done.code == 1
    assert "there is no session 'wrok'" in done.err


def test_deleting_removes_a_session_and_says_what_was_not_there(dovetail: Command) -> None:
    done = dovetail("sessions", "delete", "work", "wrok")
    assert done.code == 1
    assert "there is no session 'wrok'" in done.err
    assert [s["session_id"] for s in dovetail("sessions", "list", "--json").json] == ["play"]
    assert dovetail("sessions", "delete", "play").code == 0
    assert "there is no such session" in dovetail("sessions", "list").err


def test_a_session_that_cannot_be_read_can_be_deleted(dovetail: Command) -> None:
    assert dovetail("chat", "-s", "torn", "hi").code == 0
    assert "the page is torn" in dovetail("sessions", "show", "torn").err
    assert dovetail("sessions", "delete", "torn").code == 0


def test_cleaning_up_removes_what_is_over(dovetail: Command) -> None:
    brief = ("--set", "sessions.lifetime=1ms")
    assert dovetail("chat", "-s", "brief", "hi", *brief).code == 0
    assert dovetail("sessions", "cleanup").err == "dovetail: 1 session removed\n"
    assert dovetail("sessions", "cleanup").err == "dovetail: 0 sessions removed\n"


def test_no_model_is_needed(dovetail: Command, folder: Path) -> None:
    text = (folder / "dovetail.toml").read_text()
    (folder / "dovetail.toml").write_text(text.replace("[providers.parrot]", "[providers.gone]"))
    assert [s["session_id"] for s in dovetail("sessions", "list", "--json").json] == [
        "play",
        "work",
    ]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("sessions.use=shelv", "no plugin `shelv` is installed"),
        ("sessions.paht=x", "paht"),
        ("sessions.path=away", "no shelf, pin ***"),
    ],
)
def test_a_store_that_cannot_be_opened_is_told_in_one_go(
    dovetail: Command, setting: str, words: str
) -> None:
    done = dovetail("sessions", "list", "--set", setting, "--set", "sessions.pin=9876543")
    assert (done.code, done.out) == (1, "")
    assert words in done.err
    assert "9876543" not in done.err
