"""A conversation on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.cli.terminal import CTRL_D, Terminal

if TYPE_CHECKING:
    from pathlib import Path

Start = Callable[..., Terminal]
UP = "\x1b[A"

pytestmark = pytest.mark.usefixtures("parrot")


def leave(command: Terminal) -> None:
    command.expect("> ")
    command.type("/quit\n")
    assert command.end() == 0
    assert "Traceback" not in command.seen


def test_it_names_the_model_and_remembers_what_was_said(terminal: Start) -> None:
    command = terminal("chat", "--system", "Be brief.")
    command.expect("parrot/grey · /help shows")
    command.expect("> ")
    command.type("hello\n")
    command.expect("hello\nhello\n")
    command.expect("> ")
    command.type("recall\n")
    command.expect("system: Be brief. | user: hello | assistant: hello | user: recall\n")
    command.expect("> ")
    command.type("/new\n")
    command.expect("a new conversation\n")
    command.expect("> ")
    command.type("recall\n")
    command.expect("system: Be brief. | user: recall\n")
    command.expect("> ")
    command.type(CTRL_D)
    assert command.end() == 0


def test_a_block_in_quotes_and_a_backslash_make_several_lines(terminal: Start) -> None:
    command = terminal("chat")
    command.expect("> ")
    command.type('"""one\n')
    command.expect(". ")
    command.type("\n")
    command.expect(". ")
    command.type('two"""\n')
    command.expect('two"""\none\n\ntwo\n')
    command.expect("> ")
    command.type("three\\\n")
    command.expect(". ")
    command.type("four\n")
    command.expect("four\nthree\nfour\n")
    leave(command)


def test_the_model_is_shown_and_changed(terminal: Start) -> None:
    command = terminal("chat")
    command.expect("> ")
    command.type("/model\n")
    command.expect("/model\n* parrot/grey\n  parrot/ara\n")
    command.expect("> ")
    command.type("/model parrot/ara\n")
    command.expect("now talking to parrot/ara\n")
    command.expect("> ")
    command.type("/model nobody\n")
    command.expect("there is no provider instance `nobody`")
    command.expect("> ")
    command.type("/model\n")
    command.expect("/model\n  parrot/grey\n* parrot/ara\n")
    leave(command)


def test_a_model_that_its_provider_does_not_list_is_refused_with_the_nearest(
    terminal: Start,
) -> None:
    command = terminal("chat")
    command.expect("> ")
    command.type("/model parrot/gray\n")
    command.expect("`parrot` lists no model `parrot/gray`; did you mean `parrot/grey`?")
    command.expect("`dovetail chat -m parrot/gray` asks for it all the same\n")
    command.expect("> ")
    command.type("still there\n")
    command.expect("still there\nstill there\n")
    leave(command)


def test_help_and_a_command_that_is_not_there(terminal: Start) -> None:
    command = terminal("chat")
    command.expect("> ")
    command.type("/help\n")
    command.expect("/new          begin a new conversation\n")
    command.expect("> ")
    command.type("/modle me\n")
    command.expect("dovetail: there is no /modle; did you mean /model? /help lists what there is")
    command.expect("> ")
    command.type("/xyzzy\n")
    command.expect("dovetail: there is no /xyzzy; /help lists what there is")
    leave(command)


def test_a_failed_turn_does_not_end_it(terminal: Start) -> None:
    command = terminal("chat")
    command.expect("> ")
    command.type("fail\n")
    command.expect("so far \n")
    command.expect("dovetail: parrot: no nut with pin")
    command.expect("> ")
    command.type("still there\n")
    command.expect("still there\nstill there\n")
    leave(command)


def test_what_was_typed_comes_back_next_time_and_is_for_this_user_alone(
    terminal: Start, folder: Path
) -> None:
    first = terminal("chat")
    first.expect("> ")
    first.type("remember me\n")
    first.expect("remember me\nremember me\n")
    leave(first)
    history = folder.parent / "home/.local/state/dovetail/history"
    assert history.read_text() == "remember me\n/quit\n"
    assert history.stat().st_mode & 0o777 == 0o600
    second = terminal("chat")
    second.expect("> ")
    second.type(f"{UP}{UP}\n")
    second.expect("remember me\nremember me\n")
    leave(second)


def test_a_model_that_is_not_there_ends_it_before_it_begins(terminal: Start) -> None:
    command = terminal("chat", "-m", "nobody")
    command.expect("there is no provider instance `nobody`")
    assert command.end() == 1


def test_no_character_of_an_answer_moves_the_cursor(terminal: Start) -> None:
    command = terminal("chat", "a\x1b[2Jb\x07\tc")
    command.expect("a[2Jb")
    assert command.end() == 0
    assert "\x1b" not in command.seen
