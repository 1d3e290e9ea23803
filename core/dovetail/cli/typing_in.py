"""Reading what a person types: with history, and over several lines."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dovetail.cli.piped import check_text

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

QUOTES = '"""'
MOST_LINES = 1000
"""What of the history is kept."""


class LineReader:
    """A context manager: the history is read at the beginning and written at the end."""

    def __enter__(self) -> Self:
        """Read the history of earlier conversations."""
        with suppress(ImportError, OSError):  # a Python without readline, or no history yet
            import readline

            readline.set_history_length(MOST_LINES)
            readline.read_history_file(history_file())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Keep the history for next time, where that is possible, for this user alone."""
        with suppress(ImportError, OSError):  # a history is no reason to complain
            import readline

            file = history_file()
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
            readline.write_history_file(file)

    def read(self) -> str:
        r"""One text: a line, lines that end with a backslash, or a block in triple quotes.

        Raises:
            EOFError: Ctrl-D.
            WrongUse: what was typed is not UTF-8.
        """
        line = self._line("> ")
        if line.lstrip().startswith(QUOTES):
            text = self._block(line.lstrip().removeprefix(QUOTES))
        else:
            lines = [line]
            while lines[-1].endswith("\\"):
                lines[-1] = lines[-1][:-1]
                lines.append(self._line(". "))
            text = "\n".join(lines)
        return check_text(text, "what was typed")

    def _block(self, first: str) -> str:
        lines = [first]
        while not lines[-1].rstrip().endswith(QUOTES):
            lines.append(self._line(". "))
        lines[-1] = lines[-1].rstrip().removesuffix(QUOTES)
        return "\n".join(lines).strip("\n")

    def _line(self, prompt: str) -> str:
        try:
            if sys.stdout.isatty():
                return input(prompt)
            # `input` would write its prompt among the answers.
            sys.stderr.write(prompt)
            sys.stderr.flush()
            line = sys.stdin.readline()
        except UnicodeDecodeError as error:
            return str(error.object, errors="surrogateescape")
        if not line:
            raise EOFError
        return line.rstrip("\n")


def history_file() -> Path:
    """Where the XDG Base Directory Specification wants what a program remembers."""
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if os.path.isabs(state) else Path(os.path.expanduser("~/.local/state"))  # noqa: PTH111, PTH117 - Path.expanduser raises where there is no home
    return folder / "dovetail" / "history"
