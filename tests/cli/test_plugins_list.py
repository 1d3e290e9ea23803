"""`dovetail plugins`: what is installed and what of it is enabled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Command
    from tests.support.distributions import Distributions


def test_it_says_by_which_line_of_the_config_a_plugin_is_enabled(
    dovetail: Command, parrot: Distributions
) -> None:
    parrot.add("idle", "raise SystemExit('imported')", version="2.5")
    done = dovetail("plugins")
    assert done.code == 0
    lines = {line.split()[0]: " ".join(line.split()) for line in done.out.splitlines()}
    assert lines["parrot"] == "parrot dovetail-parrot 1.0 dovetail.toml:4 [providers.parrot]"
    assert lines["idle"] == "idle dovetail-idle 2.5 no"
    assert lines["in-memory"].endswith("by default")


def test_what_is_enabled_comes_first_and_then_the_id(
    dovetail: Command, parrot: Distributions
) -> None:
    for plugin_id in ("zebra", "ant"):
        parrot.add(plugin_id, "")
    ids = [row["id"] for row in dovetail("plugins", "--json").json]
    assert ids == ["in-memory", "parrot", "ant", "zebra"]


def test_it_is_there_as_json(dovetail: Command, parrot: Distributions) -> None:
    rows = dovetail("plugins", "list", "--json").json
    assert rows == dovetail("plugins", "--json").json
    (row,) = (row for row in rows if row["id"] == "parrot")
    assert row == {
        "id": "parrot",
        "distribution": "dovetail-parrot",
        "version": "1.0",
        "enabled": True,
        "enabled_by": ["dovetail.toml:4 [providers.parrot]"],
        "problem": "",
    }


def test_it_needs_no_config(dovetail: Command, parrot: Distributions, folder: Path) -> None:
    (folder / "dovetail.toml").unlink()
    done = dovetail("plugins")
    assert (done.code, done.err) == (0, "")
    assert "parrot" in done.out


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[providers.parrot]\n[chat", "dovetail.toml:2"),
        ("[providers.parrot]\n[chatt]\n", "there is no table `chatt`"),
    ],
)
def test_a_broken_config_still_lists_and_then_says_what_is_wrong(
    dovetail: Command, parrot: Distributions, folder: Path, text: str, wrong: str
) -> None:
    (folder / "dovetail.toml").write_text(text)
    done = dovetail("plugins")
    assert done.code == 1
    assert "dovetail-parrot" in done.out
    assert wrong in done.err


def test_a_plugin_that_the_config_names_and_nobody_installed_is_listed(
    dovetail: Command, parrot: Distributions, folder: Path
) -> None:
    (folder / "dovetail.toml").write_text("[providers.owl]\n")
    out = dovetail("plugins").out
    assert "dovetail.toml:1 [providers.owl]" in out
    assert "! not installed; by its usual name: pip install dovetail-owl" in out


def test_what_could_not_be_used_says_why(dovetail: Command, installed: Distributions) -> None:
    installed.add("old", "", group="dovetail.v0")
    installed.add("twin", "", name="dovetail-twin")
    installed.add("twin", "", name="dovetail-other")
    out = dovetail("plugins").out
    assert "! for plugin API 0, this kernel speaks 1" in out
    assert "offers the same id; uninstall one" in out
