"""What went wrong with a handler of events."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath

from dovetail.host.records import describe

MOST_WORDS = 1000
"""How many letters of an error are told: some hold a whole request."""


@dataclass(frozen=True)
class Failed:
    """A handler that raised, or took too long."""

    provider: str
    error: BaseException
    seconds: float
    """Since the delivery first had to wait for a handler; 0 if it never had."""

    @cached_property
    def words(self) -> str:
        """The error for a person, without secrets."""
        return describe(self.error)[:MOST_WORDS]

    @property
    def where(self) -> str:
        """The file and line that raised it."""
        trace = (self.error.__cause__ or self.error).__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is None:
            return ""
        return f"{PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
