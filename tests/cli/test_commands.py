"""The commands there are, those of plugins too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command
    from tests.support.distributions import Distributions

GREET = """\
import click

@click.command()
@click.argument("name")
def greet(name):
    click.echo(f"hello {name}")
    return 3

@click.command()
def refuse():
    from dovetail import InvalidRequest
    raise InvalidRequest("not today, api_key=abcdefgh")

@click.command()
def stumble():
    raise KeyError("there is a hole")

no_command = 1
"""
ENTRY_POINTS = """\
[dovetail.v1.commands]
greet = dovetail_greet:greet
refuse = dovetail_greet:refuse
stumble = dovetail_greet:stumble
odd = dovetail_greet:no_command
gone = dovetail_gone:command
chat = dovetail_greet:greet
"""


@pytest.fixture(autouse=True)
def greeter(installed: Distributions) -> None:
    installed.add("greet", GREET, entry_points=ENTRY_POINTS)


def test_the_help_names_the_distribution_that_a_command_is_from(dovetail: Command) -> None:
    out = dovetail("--help").out
    assert re.search(r"^  greet +from dovetail-greet$", out, re.MULTILINE)
    assert re.search(r"^  chat +Talk to a model\.$", out, re.MULTILINE)
    assert out.count("  chat  ") == 1


def test_doctor_names_a_command_that_ours_hides(dovetail: Command, folder: Path) -> None:
    (folder / "dovetail.toml").write_text("")
    said = "the command `chat` of `dovetail-greet` cannot be called"
    assert said in dovetail("plugins", "doctor").out
    (told,) = dovetail("plugins", "doctor", "--json").json["hidden_commands"]
    assert said in told


def test_a_plugins_command_runs_and_what_it_returns_is_no_exit_code(dovetail: Command) -> None:
    done = dovetail("greet", "you")
    assert (done.code, done.out, done.err) == (0, "hello you\n", "")


def test_errors_of_a_plugins_command_are_told_as_ours(dovetail: Command) -> None:
    done = dovetail("refuse")
    assert (done.code, done.err) == (1, "dovetail: not today, api_key=***\n")


def test_a_mistake_in_a_command_is_one_line(dovetail: Command) -> None:
    done = dovetail("stumble")
    assert done.code == 1
    assert done.err.startswith("dovetail: this is a mistake in dovetail or a plugin: KeyError")
    assert "Traceback" not in done.err
    assert "Traceback" in dovetail("--debug", "stumble").err


@pytest.mark.parametrize(
    ("name", "why"), [("gone", "No module named 'dovetail_gone'"), ("odd", "is no click command")]
)
def test_a_broken_command_says_whose_it_is(dovetail: Command, name: str, why: str) -> None:
    done = dovetail(name)
    assert done.code == 1
    assert f"the command `{name}` of `dovetail-greet`" in done.err
    assert why in done.err
    assert dovetail("greet", "you").code == 0


@pytest.mark.parametrize(
    ("arguments", "guess"),
    [(("chta",), "did you mean `chat`?"), (("plugins", "lst"), "did you mean `list`?")],
)
def test_a_misspelt_command_is_answered_with_the_nearest(
    dovetail: Command, arguments: tuple[str, ...], guess: str
) -> None:
    done = dovetail(*arguments)
    assert (done.code, done.out) == (2, "")
    assert guess in done.err
