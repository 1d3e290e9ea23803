"""Who our children are."""

from __future__ import annotations

import os
from pathlib import Path


def children() -> set[int]:
    """The processes that this one has started and that have not been waited for (Linux)."""
    mine = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            if int(fields[1]) == os.getpid():
                mine.add(int(folder.name))
    return mine
