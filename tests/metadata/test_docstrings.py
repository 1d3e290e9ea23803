"""Docstrings as people write them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from dovetail.metadata.functions import metadata_of, parameters_of, returns_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def test_a_docstring_without_sections_is_prose_as_it_stands() -> None:
    def function(x: int) -> None:
        """Do this: that.

        Note: be careful with
            x, which is huge.

        Then:

        - go on
        """

    assert metadata_of(function).description.splitlines() == [
        "Do this: that.",
        "",
        "Note: be careful with",
        "    x, which is huge.",
        "",
        "Then:",
        "",
        "- go on",
    ]
    assert parameters_of(function)[0].description == ""


def test_a_note_beside_sections_is_kept() -> None:
    def function(x: int) -> None:
        """Do it.

        Note:
            Not on Sundays.

        Args:
            x: how often
        """

    assert metadata_of(function).description == "Do it.\n\nNote:\nNot on Sundays."


def test_a_line_that_makes_no_sense_spoils_no_other() -> None:
    def function(x: int, y: int) -> None:
        """Do it.

        Args:
            a line that describes nothing
            x: how often
            z: not there
        """

    assert [each.description for each in parameters_of(function)] == ["how often", ""]


def test_parameters_may_share_a_description() -> None:
    def function(x: int, y: int) -> None:
        """Draw a dot.

        Parameters
        ----------
        x, y : int
            Where.
        """

    assert [each.description for each in parameters_of(function)] == ["Where.", "Where."]


def test_a_docstring_may_begin_with_its_sections() -> None:
    def function(x: int) -> None:
        """
        Args:
            x: how often
        """

    assert parameters_of(function)[0].description == "how often"
    assert metadata_of(function).description == ""


def test_what_is_yielded_is_the_result() -> None:
    async def function() -> AsyncIterator[str]:
        """Count.

        Yields:
            One number after another.
        """
        yield "1"

    assert returns_of(function)["description"] == "One number after another."


def test_the_parser_is_imported_by_those_who_need_it_only() -> None:
    code = (
        "import sys; from dovetail.metadata.functions import metadata_of\n"
        "def f():\n  'One line.'\n"
        "assert metadata_of(f).description == 'One line.'\n"
        "assert 'griffe' not in sys.modules\n"
        "f.__doc__ = 'Two\\n\\nReturns:\\n  lines'\n"
        "assert metadata_of(f).description == 'Two'\n"
        "assert 'griffe' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
