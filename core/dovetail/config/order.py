"""The order in which mistakes are told: as they stand in the files."""

from __future__ import annotations

import re

from dovetail.config.files import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dovetail.config.files import ConfigFile
    from dovetail.errors import Problem


def in_order(problems: Iterable[Problem], files: Sequence[ConfigFile]) -> tuple[Problem, ...]:
    """`problems` by file and line; those that stand in no file, such as variables, at the end."""
    names = [shown(file.path) for file in files]

    def key(problem: Problem) -> tuple[int, int]:
        for rank, name in enumerate(names):
            if problem.where.startswith(name):
                line = re.match(r":(\d+)", problem.where[len(name) :])
                return rank, int(line[1]) if line else 0
        return len(names), 0

    return tuple(sorted(problems, key=key))
