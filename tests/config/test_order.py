"""Mistakes are told in the order in which they stand in the files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.config.order import in_order
from dovetail.errors import Problem

if TYPE_CHECKING:
    from pathlib import Path

    from tests.config.conftest import Read


def test_problems_are_told_by_file_and_line_and_those_of_no_file_last(
    read: Read, folder: Path
) -> None:
    user = folder.parent / "home/.config/dovetail/config.toml"
    user.parent.mkdir(parents=True)
    user.write_text("[kernel]\nx = 1\n")
    raw = read("[chat]\n")
    places = [
        "environment variable DOVETAIL__CHAT__X",
        f"{user}:2 [kernel] x",
        "dovetail.toml:10 [chat] y",
        "dovetail.toml:9 [chat] b",
        "dovetail.toml:9 [chat] a",
    ]
    ordered = in_order([Problem("wrong", place) for place in places], raw.files)
    assert [problem.where for problem in ordered] == [
        "dovetail.toml:9 [chat] b",
        "dovetail.toml:9 [chat] a",
        "dovetail.toml:10 [chat] y",
        f"{user}:2 [kernel] x",
        "environment variable DOVETAIL__CHAT__X",
    ]
