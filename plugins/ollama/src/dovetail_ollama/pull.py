"""Reading what `/api/pull` tells while a model is fetched; does no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dovetail import (
    InvalidResponse,
    ModelNotFound,
    NdjsonDecoder,
    StreamInterrupted,
    error_of_object,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_SUCH = re.compile(r"does not exist|not found", re.IGNORECASE)
_AGAIN = "run it again: it goes on where it stopped"


@dataclass(frozen=True, slots=True)
class PullState:
    """What one line tells."""

    status: str
    """What the server does, in its words."""
    digest: str = ""
    """Of the file it fetches; empty if it does something else."""
    completed: int = 0
    """Bytes of the file that are there."""
    total: int | None = None
    """Bytes of the whole file."""


class PullParser:
    """Feed it bytes as they come; it gives the states they complete."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._lines = NdjsonDecoder()
        self._succeeded = False

    def feed(self, data: bytes) -> Iterator[PullState]:
        """The states that `data` completes; those before an error are given before it is raised.

        Raises:
            ModelNotFound: the library has no such model.
            ProviderError: a line says what else went wrong.
        """
        for piece in data.splitlines(keepends=True):  # as in `ChatParser.feed`
            for line in self._lines.feed(piece):
                yield self._state(line)

    def end(self) -> Iterator[PullState]:
        """What a last line without a newline tells.

        Raises:
            StreamInterrupted: the server did not say that it succeeded.
        """
        try:
            rest = self._lines.end()
        except InvalidResponse as error:
            message = f"the pull of `{self._model}` broke off in the middle of a line; {_AGAIN}"
            raise StreamInterrupted(message) from error
        for line in rest:
            yield self._state(line)
        if not self._succeeded:
            raise StreamInterrupted(f"the pull of `{self._model}` broke off; {_AGAIN}")

    def _state(self, line: Any) -> PullState:
        if not isinstance(line, dict):
            raise InvalidResponse("this is not how Ollama answers: a line is no object")
        if (error := line.get("error")) is not None:
            if isinstance(error, str) and _NO_SUCH.search(error):
                raise ModelNotFound(
                    f"there is no model `{self._model}` to fetch ({error[:200]}); "
                    "https://ollama.com/library names those there are",
                    model=self._model,
                )
            raise error_of_object(error)
        status = str(line.get("status") or "")
        self._succeeded = self._succeeded or status == "success"
        return PullState(
            status,
            str(line.get("digest") or ""),
            _bytes(line.get("completed")) or 0,  # left out until there is something
            _bytes(line.get("total")),
        )


def _bytes(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
