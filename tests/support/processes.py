"""Processes that tests start."""

from __future__ import annotations

import os


def unmeasured() -> dict[str, str]:
    """This environment without what has coverage measured in a new process.

    Measuring imports more than the process does, and coverage has locks of its own: an interrupt
    while one is taken leaves it taken for ever.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
